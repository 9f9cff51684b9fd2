/** Which functions of the service are compared with the model, and which are not, and why. */
import fc from "fast-check";
import { alone } from "./runs.ts";
import { isByHand } from "./state.ts";

/** Asked after commands, and not among them. */
const READ = ["audit_trail", "events", "reconcile"];

/** Another command than the function that it calls. */
const CALLED: Readonly<Record<string, string>> = { forget_subject: "forget_user" };

/** What no command asks, each with its reason. */
export const UNDRAWN: Readonly<Record<string, string>> = {
  coupon_leases:
    "each change of a coupon that was leased would wait for a second: ./sd faults asks beside changes, and its checker judges the refusals",
  set_time_zone:
    "it reads the files of all zones, and all instants of the model are told by the zone: sql/set_time_zone.test.ts",
  schema_version: "no command changes what it tells: sql/schema_version.test.ts",
  claim_webhooks: "who sends is decided by the clock: sql/claim_webhooks.test.ts",
  next_webhook_events:
    "what is sent again is decided by the clock: sql/next_webhook_events.test.ts, server/webhooks",
  tell_webhook: "as next_webhook_events: sql/tell_webhook.test.ts",
  resend_webhook: "there is nothing to send again where nothing is sent: sql/resend_webhook.test.ts",
  list_webhook_deliveries: "as resend_webhook: sql/list_webhook_deliveries.test.ts",
};

/** What no command reaches, each with its reason, in the order of its enum. */
export const UNREACHED: Readonly<Record<string, string>> = {
  "fill_days: code_too_long": "no plan makes such a code; copy_day() does, and answers it",
  "fill_days: not_after_start":
    "of a day on which the clocks are changed; those of the model's zone never are: sql/fill_days.test.ts",
};

/** The functions that random commands ask, as so many of them show, the same each time. */
export function asked(): Set<string> {
  const drawn = fc.sample(fc.noBias(alone), { seed: 1, numRuns: 5_000 });
  const called = drawn.filter((command) => !isByHand(command)).map(({ call }) => CALLED[call] ?? call);
  return new Set([...READ, ...called]);
}
