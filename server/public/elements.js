/** The page's elements: found, copied from their templates, written to. Nothing is ever made of a string of HTML. */
import { CouponError } from "./client.js";

/**
 * What a view gets.
 * @typedef {object} Frame
 * @property {import("./client.js").CouponClient} client
 * @property {() => number | undefined} userId Who looks.
 * @property {(text: string) => void} say Reads it aloud; whoever can see it needs it shown too, where it happened.
 * @property {(error: unknown) => string} failed Says what failed, and asks who it is where that is no longer known. Nothing of what ended since
 *   somebody else looks.
 * @property {(error: unknown) => void} broke The same, of what nobody has asked for.
 */

/**
 * @typedef {object} View
 * @property {(signal: AbortSignal) => void} open It is shown, to somebody whose token there is, until the signal.
 * @property {() => void} forget Somebody else looks from now on.
 */

/**
 * The one element of this selector, which must be there.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} kind
 * @param {ParentNode} [within]
 * @returns {T}
 */
export function find(selector, kind, within = document) {
  const found = within.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${selector}`);
  return found;
}

/**
 * @param {string} selector
 * @param {ParentNode} [within]
 */
export const html = (selector, within) => find(selector, HTMLElement, within);

/**
 * A copy of the one element in this template.
 * @param {string} template
 */
export function copyOf(template) {
  const [element] = find(template, HTMLTemplateElement).content.children;
  return /** @type {HTMLElement} */ (element?.cloneNode(true));
}

/**
 * Fills an element that can be opened with a copy of this template each time that it is, so that what it shows is of then.
 * @param {HTMLDetailsElement} details
 * @param {string} template
 * @param {(copy: HTMLElement, signal: AbortSignal) => void} fill The signal: it is closed again.
 */
export function onOpen(details, template, fill) {
  let opened = new AbortController();
  /** @type {HTMLElement | undefined} */
  let copy;
  details.addEventListener("toggle", () => {
    opened.abort();
    opened = new AbortController();
    copy?.remove();
    if (!details.open) return;
    copy = copyOf(template);
    details.append(copy);
    fill(copy, opened.signal);
  });
}

/**
 * Runs what a button is for, once at a time. It keeps the focus meanwhile.
 * @param {HTMLElement} button
 * @param {() => Promise<unknown>} act Tells itself what fails.
 */
export function onPress(button, act) {
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    await act();
    button.ariaDisabled = "false";
  });
}

/**
 * What is kept for the tab; where the browser is set to keep nothing of a site, until the page is left.
 * @type {Pick<Storage, "getItem" | "setItem" | "removeItem">}
 */
export const kept = (() => {
  try {
    return sessionStorage;
  } catch {
    /** @type {Map<string, string>} */
    const values = new Map();
    return {
      getItem: (name) => values.get(name) ?? null,
      setItem: (name, value) => void values.set(name, value),
      removeItem: (name) => void values.delete(name),
    };
  }
})();

/**
 * Gives a file to whoever looks at the page.
 * @param {Blob} content
 * @param {string} name
 */
export function saveAs(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The download has its own hold on it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Writes what is new only: whoever selects a text or reads it on a Braille line is not disturbed each second.
 * @param {Element} element
 * @param {string} text
 */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {Element} element
 * @param {Record<string, string | null>} attributes Null: without it.
 */
export function mark(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === element.getAttribute(name)) continue;
    if (value === null) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
}

/**
 * Makes these the children, in this order. Who is in its place already is left alone, and whoever has the focus keeps it.
 * @param {Element} parent
 * @param {Element[]} children
 */
export function arrange(parent, children) {
  const focused = document.activeElement;
  for (const child of [...parent.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused))
    focused.focus({ preventScroll: true });
}

/**
 * Makes these the rows of a table. The first cell of each says what it is about, and a column is of numbers if its head is.
 * @param {HTMLTableElement} table
 * @param {string[][]} rows
 */
export function showRows(table, rows) {
  const heads = table.tHead?.rows[0]?.cells;
  const body = find("tbody", HTMLTableSectionElement, table);
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, i) => {
    const row = body.rows[i] ?? body.insertRow();
    texts.forEach((text, j) => {
      let cell = row.cells[j];
      if (cell === undefined) {
        cell = document.createElement(j === 0 ? "th" : "td");
        mark(cell, { scope: j === 0 ? "row" : null, class: heads?.[j]?.className || null });
        row.append(cell);
      }
      put(cell, text);
    });
  });
}

/**
 * @param {HTMLMeterElement} meter
 * @param {{ code: string, count: number, remaining: number }} stock
 */
export function showMeter(meter, { code, count, remaining }) {
  meter.max = count;
  meter.value = remaining;
  mark(meter, { "aria-label": `${code}: units left` });
}

/**
 * What happened, where it happened; say() reads it aloud.
 * @param {HTMLElement} element
 * @param {string} text
 * @param {"good" | "bad" | "wait"} [mood]
 */
export function tell(element, text, mood = "good") {
  const told = html(".told", element);
  put(told, text);
  mark(told, { "data-mood": text === "" ? null : mood });
}

/**
 * What became of a request, in words: the service's own, where a page that was opened before an update does not know the outcome.
 * @template Known
 * @param {Record<string, (known: Known) => string>} words
 * @param {{ outcome: string, detail?: string }} result
 * @param {Known} known
 */
export const wordsOf = (words, { outcome, detail }, known) => words[outcome]?.(known) ?? detail ?? outcome;

/** @typedef {{ member: string, detail: string }[]} Wrong What is wrong with the fields of a form. */

/**
 * Does what somebody asked for, and tells what fails where they asked, and in sight, unless they look no more.
 * @param {Frame} frame
 * @param {HTMLElement} element
 * @param {() => Promise<Wrong | void>} act
 * @param {AbortSignal} [signal] They look no more.
 * @returns {Promise<Wrong>}
 */
export async function attempt({ failed }, element, act, signal) {
  const told = html(".told", element);
  const before = told.textContent;
  try {
    return (await act()) ?? [];
  } catch (error) {
    if (!signal?.aborted) tell(element, failed(error), "bad");
    return error instanceof CouponError ? error.errors : [];
  } finally {
    if (!signal?.aborted && told.textContent !== before) told.scrollIntoView({ block: "nearest" });
  }
}

/**
 * Runs what a form is for, and shows what is wrong with it beside its fields: first what the browser knows, then what the service said.
 * Of several buttons, the one that was pressed gives its value under its name.
 * @param {HTMLFormElement} form
 * @param {(given: (name: string) => string) => Promise<Wrong>} act Resolves with what is wrong.
 */
export function onSubmit(form, act) {
  const button = html("button", form);
  describeFields(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaDisabled === "true") return;
    const data = new FormData(form);
    const pressed = event.submitter;
    if (pressed instanceof HTMLButtonElement && pressed.name) data.set(pressed.name, pressed.value);
    button.ariaDisabled = "true";
    const wrong = form.checkValidity()
      ? await act((name) => String(data.get(name) ?? ""))
      : fieldsOf(form).flatMap(({ name, validationMessage: detail }) =>
          detail === "" ? [] : [{ member: name, detail }],
        );
    button.ariaDisabled = "false";
    const fields = fieldsOf(form);
    for (const field of fields) {
      const detail = wrong.find(({ member }) => member === field.name)?.detail ?? "";
      put(html(`.error[data-of="${field.name}"], #${field.name}-error`, form), detail);
      mark(field, { "aria-invalid": detail === "" ? null : "true" });
    }
    fields.find((field) => field.ariaInvalid === "true")?.focus();
  });
}

/** Forms whose fields are described so far. */
let described = 0;

/**
 * Ties hints and errors to their fields, for screen readers; a form may be there more than once.
 * @param {HTMLFormElement} form
 */
function describeFields(form) {
  described += 1;
  for (const error of form.querySelectorAll(".error[data-of]")) {
    const name = error.getAttribute("data-of");
    const hint = error.parentElement?.querySelector(".hint");
    const ids = [hint, error].flatMap((text, i) => {
      if (!text) return [];
      text.id = `form-${described}-${name}-${i === 0 ? "hint" : "error"}`;
      return text.id;
    });
    mark(html(`[name=${name}]`, form), { "aria-describedby": ids.join(" ") });
  }
}

/** @param {HTMLFormElement} form */
function fieldsOf(form) {
  return [...form.elements].filter(
    (element) =>
      element instanceof HTMLInputElement ||
      element instanceof HTMLTextAreaElement ||
      element instanceof HTMLSelectElement,
  );
}

/**
 * Without the members that are empty.
 * @template {Record<string, string>} T
 * @param {T} members
 * @returns {Partial<T>}
 */
export function orNothing(members) {
  return /** @type {Partial<T>} */ (
    Object.fromEntries(Object.entries(members).filter(([, value]) => value !== ""))
  );
}

/**
 * For a datetime-local field.
 * @param {number} time
 */
export function toLocal(time) {
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
