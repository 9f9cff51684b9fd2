/** A list that is read a page at a time: the first one anew each time, the next ones on demand. */
import { attempt, html, mark, onPress, tell } from "./elements.js";

/**
 * @template Row
 * @typedef {(before: any, signal: AbortSignal) => Promise<{ rows: Row[], next_before: unknown }>} Ask
 *   For a page, given next_before of the page before it.
 */

/**
 * @template Row
 * @param {import("./elements.js").Frame} frame
 * @param {HTMLElement} element Has the list, and after it a button for the next page.
 * @param {HTMLElement} panel Where it is told what fails.
 * @param {(rows: Row[], added: Row[]) => void} show All rows, and those of the page that came.
 */
export function createList(frame, element, panel, show) {
  const more = html(".more", element);
  /** @type {Row[]} */
  let rows = [];
  /** @type {() => Promise<unknown>} */
  let next = async () => {};
  let reading = new AbortController();
  onPress(more, () => next());

  /** @param {Ask<Row>} ask @param {unknown} before @param {AbortSignal} signal */
  function page(ask, before, signal) {
    const read = async () => {
      const { rows: added, next_before } = await ask(before, signal);
      rows = before === undefined ? added : [...rows, ...added];
      next = () => page(ask, next_before, signal);
      tell(panel, "");
      show(rows, added);
      if (next_before === null && document.activeElement === more) focusOn(more.previousElementSibling);
      more.hidden = next_before === null;
    };
    return attempt(frame, panel, read, signal);
  }

  return {
    /**
     * Resolves with what is wrong with the request.
     * @param {Ask<Row>} ask
     * @param {AbortSignal} signal
     */
    read(ask, signal) {
      reading.abort();
      reading = new AbortController();
      return page(ask, undefined, AbortSignal.any([signal, reading.signal]));
    },
    forget() {
      reading.abort();
      rows = [];
      show([], []);
      more.hidden = true;
      tell(panel, "");
    },
  };
}

/** @param {Element | null} element What can't have the focus by itself. */
function focusOn(element) {
  if (!(element instanceof HTMLElement)) return;
  mark(element, { tabindex: "-1" });
  element.focus();
}
