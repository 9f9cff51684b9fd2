/** What a till reads of the outcomes of a code. */
import { moment } from "./words.js";

/**
 * @template {import("../api/outcomes.ts").Command} C
 * @typedef {import("../api/outcomes.ts").Outcome<C>} Outcome
 */

/** What became of a code at the till. */
export const CLAIM_USED =
  /** @satisfies {Record<Outcome<"use_claim">, (known: { used_date?: string, use_reference?: string }) => string>} */ ({
    claim_not_found: () => "There is no such code.",
    already_used: ({ used_date, use_reference }) =>
      `Already used ${used_date ? moment(used_date) : ""}, by ${use_reference}.`,
    expired: () => "It expired before it was used.",
    used: () => "Give:",
  });

export const CLAIM_UNDONE = /** @satisfies {Record<Outcome<"undo_claim">, string>} */ ({
  claim_not_found: "There is no such code.",
  not_used: "It is not used.",
  used_by_another: "Another till used it: only an operator can take that back.",
  restored: "Taken back. The code can be used again.",
});
