/** What a till reads of the outcomes of a code, and an operator of a use that is taken back. */
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
  not_used: "That use is already taken back.",
  used_by_another: "Another till used it: only an operator can take that back.",
  restored: "Taken back. The code can be used again.",
});

/** What became of a use that an operator takes back, and which field is in the way. */
export const UNDONE = /** @satisfies {Record<Outcome<"undo_use">, [text: string, member?: string]>} */ ({
  coupon_not_found: ["This coupon no longer exists."],
  not_issued: ["This user does not have it.", "user_id"],
  user_not_found: ["The shop doesn't know this user any more.", "user_id"],
  not_used: ["This user has not used it, or that use is already taken back.", "user_id"],
  used_by_another: ["Somebody else used it: only an operator can take that back."],
  restored: ["The use is taken back. It can be used again until it ends."],
});
