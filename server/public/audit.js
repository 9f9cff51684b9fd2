/** Who changed what, when and why: a list with its pages, in a coupon's record, and as a part of the operators' view. */
import { copyOf, find, html, onSubmit, orNothing, showRows } from "./elements.js";
import { createList } from "./list.js";
import { DONE, precisely } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("../api/contract-types.ts").RequestOf<"auditTrail">} Asked */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"auditTrail">["entries"][number]} Entry */

/** Rows of a page. */
const ROWS = 20;

/**
 * @param {Frame} frame
 * @param {HTMLElement} element Where the list goes.
 * @param {HTMLElement} panel Where it is told what fails.
 */
export function openAudit(frame, element, panel) {
  const { client } = frame;
  const copy = copyOf("#audit");
  element.append(copy);
  const table = find("table", HTMLTableElement, copy);
  /** @type {ReturnType<typeof createList<Entry>>} */
  const list = createList(frame, copy, panel, (entries) => showRows(table, entries.map(cellsOf)));
  return {
    /** @param {Asked} asked @param {AbortSignal} opened */
    read: (asked, opened) =>
      list.read(async (before, signal) => {
        const { entries, next_before } = await client.auditTrail(
          { page_size: ROWS, ...asked, ...(before && { before }) },
          { signal },
        );
        return { rows: entries, next_before };
      }, opened),
    forget: list.forget,
  };
}

/**
 * @param {Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createChanges(frame) {
  const part = html("#changes");
  const form = find("form", HTMLFormElement, part);
  const audit = openAudit(frame, part, part);
  let opened = AbortSignal.abort();
  onSubmit(form, (given) => {
    const [coupon_id, user_id, since] = ["coupon_id", "user_id", "since"].map(given);
    return audit.read(
      {
        ...(coupon_id ? { coupon_id: Number(coupon_id) } : {}),
        ...(user_id ? { user_id: Number(user_id) } : {}),
        ...orNothing({ since: since ? new Date(since).toISOString() : "" }),
      },
      opened,
    );
  });

  return {
    open(signal) {
      opened = signal;
      form.requestSubmit();
    },
    forget: audit.forget,
  };
}

/** @param {Entry} entry */
function cellsOf({ at, command, coupon_id, user_id, actor, login, reason, old_values, new_values }) {
  const about = [
    coupon_id === null ? [] : `coupon ${coupon_id}`,
    user_id === null ? [] : `user ${user_id}`,
  ].flat();
  return [
    precisely(at),
    DONE[command] ?? command,
    about.join(", ") || "–",
    actor ?? `${login} (database login)`,
    reason ?? "–",
    changeOf(old_values ?? {}, new_values ?? {}),
  ];
}

/**
 * Each member as it was and as it became.
 * @param {Record<string, unknown>} before
 * @param {Record<string, unknown>} after
 */
function changeOf(before, after) {
  const text = (/** @type {unknown} */ value) =>
    value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const lines = names.map((name) => {
    const parts = [before, after].filter((values) => name in values).map((values) => text(values[name]));
    return `${name}: ${parts.join(" → ")}${name in after ? "" : " →"}`;
  });
  return lines.join("; ") || "–";
}
