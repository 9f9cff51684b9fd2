/**
 * The one table from outcomes to HTTP: a status, and a sentence for a person. Keys are the values of the SQL enums, in
 * their order of precedence; a test holds the two against each other.
 */

interface Answer {
  status: number;
  detail: string;
}

const notFound = { status: 404, detail: "There is no such coupon." } as const;
const noUser = { status: 404, detail: "There is no such user." } as const;
const noClaim = { status: 404, detail: "There is no such code." } as const;
const noWebhook = { status: 404, detail: "There is no such webhook." } as const;
const notIssued = { status: 409, detail: "The user doesn't hold this coupon." } as const;

/** Of a use, whether the coupon is named or its claim code. */
const used = {
  already_used: {
    status: 409,
    detail: "The coupon was already used, with another reference or by another till.",
  },
  expired: { status: 409, detail: "The coupon expired before it was used." },
  used: { status: 200, detail: "The coupon is used." },
} as const;
const undone = {
  not_used: { status: 409, detail: "The coupon is not used, or that use was undone." },
  used_by_another: {
    status: 409,
    detail: "Somebody else used the coupon: only an admin can undo that.",
  },
  restored: { status: 200, detail: "The coupon can be used again until it expires." },
} as const;

export const outcomes = {
  create_coupon: {
    already_created: { status: 200, detail: "This coupon already exists." },
    already_withdrawn: {
      status: 409,
      detail: "This coupon was created and withdrawn. To create it again, give another reason.",
    },
    code_taken: { status: 409, detail: "Another coupon has this code." },
    in_the_past: { status: 409, detail: "The expiry must not be in the past." },
    start_time_taken: { status: 409, detail: "Another coupon of that day starts at this time." },
    count_taken: { status: 409, detail: "Another coupon of that day has this count." },
    day_full: { status: 409, detail: "That day already has three coupons." },
    created: { status: 201, detail: "The coupon was created." },
  },
  issue_coupon: {
    coupon_not_found: notFound,
    already_issued: { status: 200, detail: "The user already holds this coupon." },
    not_started: { status: 409, detail: "The coupon cannot be issued before its start time." },
    ended: { status: 409, detail: "The coupon has expired." },
    paused: { status: 409, detail: "The coupon is paused." },
    sold_out: { status: 409, detail: "All units of the coupon have been issued, in order of arrival." },
    user_not_found: noUser,
    daily_limit_reached: { status: 409, detail: "The user already got a coupon today." },
    issued: { status: 201, detail: "The coupon was issued to the user." },
  },
  use_coupon: {
    coupon_not_found: notFound,
    not_issued: notIssued,
    user_not_found: noUser,
    ...used,
  },
  use_claim: {
    claim_not_found: noClaim,
    ...used,
  },
  undo_use: {
    coupon_not_found: notFound,
    not_issued: notIssued,
    user_not_found: noUser,
    ...undone,
  },
  undo_claim: {
    claim_not_found: noClaim,
    ...undone,
  },
  pause_coupon: {
    coupon_not_found: notFound,
    already_paused: { status: 200, detail: "The coupon is already paused." },
    paused: { status: 200, detail: "The coupon is paused." },
  },
  resume_coupon: {
    coupon_not_found: notFound,
    not_paused: { status: 200, detail: "The coupon is not paused." },
    resumed: { status: 200, detail: "The coupon is resumed." },
  },
  set_coupon_count: {
    coupon_not_found: notFound,
    unchanged: { status: 200, detail: "The coupon already has this count." },
    below_issued: { status: 409, detail: "More units than that have been issued." },
    count_taken: { status: 409, detail: "Another coupon of that day has this count." },
    changed: { status: 200, detail: "The coupon has a new count." },
  },
  set_coupon_expiry: {
    coupon_not_found: notFound,
    unchanged: { status: 200, detail: "The coupon already has this expiry." },
    not_after_start: { status: 409, detail: "The expiry must be after the start time." },
    in_the_past: { status: 409, detail: "The expiry must not be in the past." },
    changed: { status: 200, detail: "The coupon and all its grants have a new expiry." },
  },
  set_coupon_start: {
    coupon_not_found: notFound,
    unchanged: { status: 200, detail: "The coupon already has this start time." },
    already_started: { status: 409, detail: "The coupon has started: its start time stays." },
    in_the_past: { status: 409, detail: "The start time must not be in the past." },
    not_after_eligible_from: {
      status: 409,
      detail: "A group may have the coupon then: change its group first.",
    },
    not_before_expiry: {
      status: 409,
      detail: "The start time must be before the expiry: change the expiry first.",
    },
    start_time_taken: { status: 409, detail: "Another coupon starts at this time." },
    count_taken: { status: 409, detail: "Another coupon of that day has this count." },
    day_full: { status: 409, detail: "That day already has three coupons." },
    changed: { status: 200, detail: "The coupon has a new start time." },
  },
  set_coupon_group: {
    coupon_not_found: notFound,
    unchanged: { status: 200, detail: "The coupon is so already." },
    already_started: { status: 409, detail: "The coupon has started: its group stays." },
    in_the_past: { status: 409, detail: "The group's start must not be in the past." },
    not_before_start: { status: 409, detail: "The group's start must be before the start time." },
    changed: { status: 200, detail: "The coupon is changed." },
  },
  edit_coupon: {
    coupon_not_found: notFound,
    unchanged: { status: 200, detail: "The coupon is so already." },
    already_started: {
      status: 409,
      detail: "The coupon has started: its code stays. Its texts and its metadata can change.",
    },
    code_taken: { status: 409, detail: "Another coupon has this code." },
    changed: { status: 200, detail: "The coupon is changed." },
  },
  withdraw_coupon: {
    coupon_not_found: notFound,
    already_withdrawn: { status: 200, detail: "The coupon is withdrawn already." },
    has_grants: {
      status: 409,
      detail:
        "Units of the coupon have been issued, and stay. To end issuing, pause it, or set its expiry or its count.",
    },
    withdrawn: {
      status: 200,
      detail: "The coupon is withdrawn. Its code, its start time and its place are free.",
    },
  },
  set_plan_entry: {
    unchanged: { status: 200, detail: "The plan is so already." },
    code_taken: { status: 409, detail: "Another entry of that weekday has this code." },
    start_time_taken: { status: 409, detail: "Another entry of that weekday starts at this time." },
    count_taken: { status: 409, detail: "Another entry of that weekday has this count." },
    planned: { status: 200, detail: "It is planned, for days that are not filled yet." },
  },
  remove_plan_entry: {
    not_planned: { status: 200, detail: "There is no such entry." },
    removed: { status: 200, detail: "The entry is removed. Coupons that were made from it stay." },
  },
  retire_coupons: {
    too_recent: { status: 409, detail: "The day must be 33 days ago or earlier." },
    busy: { status: 409, detail: "Another call retires coupons: send the request again." },
    going_on: { status: 200, detail: "There is more to retire: send the request again." },
    done: { status: 200, detail: "No coupon that expired before that day is left." },
  },
  revoke_key: {
    already_revoked: { status: 200, detail: "The key was revoked before." },
    revoked: { status: 200, detail: "The key is revoked: within a minute no server takes it any more." },
  },
  forget_user: {
    user_not_found: noUser,
    already_forgotten: { status: 200, detail: "The user is forgotten already." },
    forgotten: { status: 200, detail: "The user is forgotten. The number and its coupons stay." },
  },
  set_webhook: {
    unchanged: { status: 200, detail: "The webhook is so already." },
    too_many: { status: 409, detail: "There are 50 webhooks: remove one first." },
    changed: { status: 200, detail: "The webhook is changed." },
    created: { status: 201, detail: "The webhook is created. Its secret is told this once." },
  },
  rotate_webhook_secret: {
    webhook_not_found: noWebhook,
    rotated: { status: 200, detail: "The webhook has a new secret. For a day the one before it signs too." },
  },
  enable_webhook: {
    webhook_not_found: noWebhook,
    already_enabled: { status: 200, detail: "The webhook is enabled already." },
    enabled: { status: 200, detail: "The webhook is enabled, and gets what happened meanwhile." },
  },
  disable_webhook: {
    webhook_not_found: noWebhook,
    already_disabled: { status: 200, detail: "The webhook is disabled already." },
    disabled: {
      status: 200,
      detail: "The webhook is disabled. Once it is enabled, it is sent what happened meanwhile.",
    },
  },
  remove_webhook: {
    webhook_not_found: noWebhook,
    removed: { status: 200, detail: "The webhook is removed." },
  },
  resend_webhook: {
    webhook_not_found: noWebhook,
    nothing_to_send: { status: 409, detail: "Nothing waits, and nothing was given up." },
    resending: { status: 200, detail: "It is sent at once." },
  },
} as const satisfies Record<string, Record<string, Answer>>;

export type Command = keyof typeof outcomes;
export type Outcome<C extends Command> = Extract<keyof (typeof outcomes)[C], string>;

/** The outcomes of issuing that hold for everybody who doesn't hold the coupon: those that a lease may repeat. */
export const COMMON_REFUSALS = [
  "not_started",
  "ended",
  "paused",
  "sold_out",
] as const satisfies readonly Outcome<"issue_coupon">[];
export type CommonRefusal = (typeof COMMON_REFUSALS)[number];

/** The answer that an outcome of this command gets. */
export function answerOf<C extends Command>(command: C, outcome: Outcome<C>): Answer {
  return (outcomes[command] as Record<string, Answer>)[outcome] as Answer;
}
