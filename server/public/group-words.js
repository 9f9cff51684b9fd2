/** What an operator reads of groups. */
import { amount } from "./words.js";

/**
 * @template {import("../api/outcomes.ts").Command} C
 * @typedef {import("../api/outcomes.ts").Outcome<C>} Outcome
 */

/**
 * @template {import("../api/contract-types.ts").OperationName} K
 * @typedef {import("../api/contract-types.ts").AnswerOf<K>} AnswerOf
 */

/** What became of the group of a coupon, and which field is in the way. */
export const GROUPED =
  /** @satisfies {Record<Outcome<"set_coupon_group">, [text: string, member?: string]>} */ ({
    coupon_not_found: ["This coupon no longer exists."],
    unchanged: ["It is so already."],
    already_started: ["It has started already.", "eligible_from"],
    in_the_past: ["This time is over.", "eligible_from"],
    not_before_start: ["Everybody can have it then: choose an earlier time.", "eligible_from"],
    changed: ["It is changed."],
  });

/** How many became what, for the outcomes that there were. */
const ADDED =
  /** @satisfies {Record<AnswerOf<"addToGroup">["users"][number]["outcome"], (n: string) => string>} */ ({
    added: (n) => `${n} put in`,
    already_member: (n) => `${n} there before`,
    user_not_found: (n) => `${n} unknown`,
  });
const TAKEN_OUT =
  /** @satisfies {Record<AnswerOf<"removeFromGroup">["users"][number]["outcome"], (n: string) => string>} */ ({
    removed: (n) => `${n} taken out`,
    not_member: (n) => `${n} not in it`,
  });

/** Numbers of users that a sentence names at most. */
const NAMED = 5;

/**
 * What became of users who were put in or taken out: "2 put in, 1 unknown (999)."
 * @param {readonly { outcome: keyof typeof ADDED | keyof typeof TAKEN_OUT, user_id: number }[]} users
 */
export function becameOf(users) {
  const parts = Object.entries({ ...ADDED, ...TAKEN_OUT }).flatMap(([outcome, text]) => {
    const these = users.filter((user) => user.outcome === outcome).map(({ user_id }) => user_id);
    if (these.length === 0) return [];
    const isDone = outcome === "added" || outcome === "removed";
    const names = these.slice(0, NAMED).join(", ") + (these.length > NAMED ? ", …" : "");
    return [`${text(amount(these.length))}${isDone ? "" : ` (${names})`}`];
  });
  return `${parts.join(", ")}.`;
}
