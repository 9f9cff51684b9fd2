/** Commands in an order that random ones seldom come to. */
import {
  type Command,
  DAY,
  LONG_AGO,
  LONG_CODE,
  NOW,
  type OfWebhook,
  OPENING,
  RETIRABLE,
  STATES,
} from "./commands.ts";
import type { Reading } from "./runs.ts";
import { ALL as EVERYTHING } from "./trail.ts";

const ALL = { since: null, before: null, prefix: "" };

const plan = (
  ahead: number,
  slot: number,
  pattern: string,
  hour: number,
  count: number,
  life: { isBrief?: true } = {},
): Command => ({ call: "set_plan_entry", ahead, slot, pattern, hour, count, ...life });
/**
 * Every outcome of the plan: tomorrow is filled and copied to the day after, whose own entries are then in its way. The day after that has a
 * coupon that can be had for less than a minute.
 */
const PLANNING: Command[] = [
  plan(1, 1, "P{date}", 20, 1),
  plan(1, 1, "P{date}", 20, 1),
  plan(1, 2, "p{date}", 22, 2),
  plan(1, 2, "P2-{date}", 20, 2),
  plan(1, 2, "P2-{date}", 22, 1),
  plan(1, 2, "P2-{date}", 22, 2),
  plan(0, 1, "P{date}", 6, 1),
  { call: "preview_days", ahead: 1 },
  { call: "fill_days", ahead: 1 },
  { call: "fill_days", ahead: 1 },
  { call: "copy_day", from: 1, to: 2 },
  plan(2, 1, "Q{date}", 20, 3),
  plan(2, 2, "Q2-{date}", 6, 1),
  plan(2, 3, "P{date}", 12, 4),
  { call: "preview_days", ahead: 2 },
  { call: "fill_days", ahead: 2 },
  plan(2, 1, "Q{date}", 9, 3),
  plan(2, 2, "Q2-{date}", 6, 5),
  { call: "preview_days", ahead: 2 },
  { call: "fill_days", ahead: 2 },
  { call: "remove_plan_entry", ahead: 2, slot: 3 },
  { call: "remove_plan_entry", ahead: 2, slot: 3 },
  ...[1, 2].map(() => plan(3, 1, "B{date}", 12, 6, { isBrief: true })),
  { call: "fill_days", ahead: 3 },
];

/** The copy of a code that no date fits behind, and of a coupon that can be had for less than a minute. */
const COPYING: Command[] = [
  {
    ...{ call: "create_coupon", code: LONG_CODE, message: "m", count: 4 },
    ...{ start: NOW + 130 * DAY + 1, expiry: NOW + 131 * DAY },
  },
  {
    ...{ call: "create_coupon", code: "S", message: "m", count: 5 },
    ...{ start: NOW + 130 * DAY + 2, expiry: NOW + 130 * DAY + 60_000 },
  },
  { call: "copy_day", from: 130, to: 140 },
];

/** Every outcome of a subject and of a key. */
const IDENTITIES: Command[] = [
  ...[false, true, true].map((creating): Command => {
    const issuer = "https://id.example/";
    return { call: "resolve_subjects", issuer, subjects: ["ann", "Ann", "ann"], creating };
  }),
  { call: "forget_subject", issuer: "https://id.example/", subject: "ann" },
  { call: "resolve_subjects", issuer: "https://id.example/", subjects: ["ann", "Ann"], creating: true },
  { call: "resolve_subjects", issuer: "https://other.example/", subjects: ["ann"], creating: true },
  { call: "find_subjects", subject: "ann" },
  { call: "record_key", key: "k-1", name: "Ann" },
  { call: "record_key", key: "k-1", name: "Ben" },
  ...["k-1", "k-1", "k-2"].map((key): Command => ({ call: "revoke_key", key })),
  { call: "record_key", key: "k-2", name: "Ann" },
  { call: "list_keys" },
  { call: "revoked_keys" },
  ...(["forget_subjects", "subjects_age", "forget_subjects"] as const).map((call): Command => ({ call })),
  { call: "resolve_subjects", issuer: "https://id.example/", subjects: ["ann", "Ann"], creating: true },
];

const setWebhook = (webhook: string, ...types: string[]): Command => {
  return { call: "set_webhook", webhook, url: "https://crm.example/", types };
};
const ofWebhook = (call: OfWebhook, webhook = "crm"): Command => ({ call, webhook });
/** Every outcome of a webhook: one that is changed, and as many as there may be. */
const WEBHOOKS: Command[] = [
  setWebhook("crm", "used", "issued", "used"),
  setWebhook("crm", "issued", "used"),
  setWebhook("crm"),
  ofWebhook("enable_webhook"),
  ofWebhook("rotate_webhook_secret"),
  ofWebhook("rotate_webhook_secret"),
  ofWebhook("webhook_target"),
  ofWebhook("disable_webhook"),
  ofWebhook("disable_webhook"),
  { call: "list_webhooks" },
  ofWebhook("enable_webhook"),
  ...Array.from({ length: 50 }, (_, i) => setWebhook(`other-${i}`)),
  { call: "list_webhooks" },
  ofWebhook("remove_webhook"),
  ...(
    [
      "remove_webhook",
      "rotate_webhook_secret",
      "enable_webhook",
      "disable_webhook",
      "webhook_target",
    ] as const
  ).map((call) => ofWebhook(call)),
];

/** Every outcome of a secret, while user 4 holds coupon 2 and shows codes of both. */
const SECRETS: Command[] = [
  { call: "retire_claim_secret", secret: 2 },
  { call: "retire_claim_secret", secret: 1 },
  { call: "rotate_claim_secret" },
  { call: "rotate_claim_secret" },
  { call: "wallet", user: 4, page: 3 },
  { call: "use_claim", user: 4, coupon: 2, reference: "order 1", till: "till:1", secret: 1 },
  { call: "undo_claim", user: 4, coupon: 2, till: "till:1", secret: 2 },
  { call: "retire_claim_secret", secret: 1 },
  { call: "retire_claim_secret", secret: 1 },
  { call: "use_claim", user: 4, coupon: 2, reference: "order 1", till: "till:1", secret: 1 },
  { call: "claim_secrets" },
  { call: "rotate_claim_secret" },
];

const counted = (number: number, ...coupons: number[]): Command => {
  const asked = coupons.map((coupon) => ({ coupon, refused: 2, replayed: 1 }));
  return { call: "count_demand", sender: 1, number, asked };
};
/** What was counted of coupon 1, 2, 3 and of none, becomes old and is folded, one at a time. */
const DEMAND: Command[] = [
  counted(1, 1, 2, 1, 99),
  counted(1, 1, 2, 1, 99),
  counted(3, 3),
  { call: "demand_ages" },
  counted(2, 1),
  counted(4, 1, 2),
  { call: "demand_ages" },
  { call: "fold_demand", most: 1 },
  { call: "fold_demand", most: 3 },
  { call: "fold_demand", most: 3 },
  ...[1, 2].map((coupon): Command => ({ call: "coupon_timeline", coupon })),
  { call: "coupon_stats", coupon: 1 },
];

const lookAtDay = (ago: number): Command => ({ call: "daily_summary", ago, days: 2 });
const retire = (most: number): Command => ({ call: "retire_coupons", ago: RETIRABLE, most, isBusy: false });
/** Coupon 3 has three grants. Amid its retirement its holders ask for it, use it and look. */
const RETIRING: Command[] = [
  { call: "retire_coupons", ago: RETIRABLE - 1, most: 1, isBusy: true },
  { call: "long_ago", coupon: 3 },
  { call: "retire_coupons", ago: RETIRABLE, most: 1, isBusy: true },
  { call: "fold_grants" },
  lookAtDay(LONG_AGO + 1),
  retire(2),
  retire(2),
  ...[1, 2, 3].flatMap((user): Command[] => [
    { call: "issue_coupon", user, coupon: 3 },
    { call: "use_claim", user, coupon: 3, reference: "order 1", till: "till:1" },
    { call: "undo_use", user, coupon: 3, till: null },
    { call: "wallet", user, page: 3 },
  ]),
  { call: "list_grants", coupon: 3, after: 0, page: 3 },
  { call: "coupon_stats", coupon: 3 },
  { call: "set_coupon_count", coupon: 3, count: 5 },
  ...OPENING.filter((command) => command.call === "create_coupon"),
  lookAtDay(LONG_AGO + 1),
  lookAtDay(200),
  ...Array.from({ length: 9 }, () => retire(1)),
  lookAtDay(LONG_AGO + 1),
  { call: "coupon_stats", coupon: 3 },
];

/**
 * What random commands seldom come to, after OPENING: a day that is full, coupons that cannot start then, and every outcome
 * that 200 random runs reach about ten times or fewer, so that none is missed by chance.
 */
const SELDOM: Command[] = [
  { call: "set_coupon_count", coupon: 1, count: 3 },
  { call: "set_coupon_start", coupon: 1, start: NOW - 200 * DAY },
  { call: "set_coupon_expiry", coupon: 1, expiry: NOW + 50 * DAY },
  { call: "set_coupon_expiry", coupon: 1, expiry: NOW - 50 * DAY },
  { call: "import_users", users: [1], name: "Ann" },
  { call: "undo_use", user: 1, coupon: 3, till: null },
  { call: "withdraw_coupon", coupon: 99 },
  { call: "forget_user", user: 99 },
  { call: "issue_coupon", user: 4, coupon: 3 },
  { call: "pause_coupon", coupon: 1, reason: null },
  { call: "pause_coupon", coupon: 1, reason: null },
  { call: "issue_coupon", user: 4, coupon: 1 },
  { call: "resume_coupon", coupon: 1, reason: null },
  ...[100 * DAY, 100 * DAY + 1, 100 * DAY + 2, 150 * DAY, 100 * DAY + 3].map((start, i): Command => {
    const count = [1, 2, 3, 1, 5][i] as number;
    return {
      call: "create_coupon",
      code: "DEFGH"[i] as string,
      message: "m",
      start: NOW + start,
      expiry: NOW + 200 * DAY,
      count,
    };
  }),
  { call: "set_coupon_start", coupon: 7, start: NOW + 200 * DAY },
  { call: "set_coupon_start", coupon: 7, start: NOW + 100 * DAY },
  { call: "set_coupon_start", coupon: 7, start: NOW + 100 * DAY + 3 },
  { call: "set_coupon_count", coupon: 7, count: 5 },
  { call: "set_coupon_start", coupon: 7, start: NOW + 100 * DAY + 3 },
  { call: "set_coupon_start", coupon: 7, start: NOW + 150 * DAY + 1 },
  { call: "set_coupon_start", coupon: 7, start: NOW - 100 * DAY },
  { call: "set_coupon_expiry", coupon: 7, expiry: NOW + 50 * DAY },
  { call: "edit_coupon", coupon: 7, code: "d", message: null, description: null, metadata: null },
  ...[null, "at the counter", "at the counter"].map((description): Command => {
    return {
      call: "edit_coupon",
      coupon: 7,
      code: null,
      message: null,
      description,
      metadata: { shop: "north" },
    };
  }),
  { call: "find_coupon", code: "g" },
  ...["for Ann", "Annual"].flatMap((reason): Command[] => [
    { call: "pause_coupon", coupon: 7, reason },
    { call: "resume_coupon", coupon: 7, reason: null },
  ]),
  { call: "set_coupon_expiry", coupon: 7, expiry: NOW + 150 * DAY + 60_000 },
  { call: "set_coupon_start", coupon: 7, start: NOW + 150 * DAY + 2 },
  { call: "issue_coupon", user: 1, coupon: 7 },
  { call: "withdraw_coupon", coupon: 7 },
  { call: "withdraw_coupon", coupon: 7 },
  ...[null, "spring", "spring", null].map((reason): Command => {
    const times = { start: NOW + 150 * DAY, expiry: NOW + 200 * DAY };
    return { call: "create_coupon", code: "G", message: "m", ...times, count: 1, reason };
  }),
  { call: "withdraw_coupon", coupon: 8 },
  ...[null, "spring", "autumn"].map((reason): Command => {
    const times = { start: NOW + 150 * DAY, expiry: NOW + 200 * DAY };
    return { call: "create_coupon", code: "G", message: "m", ...times, count: 1, reason };
  }),
  { call: "add_to_group", group: "vip", users: [1, 2, 9, 3] },
  { call: "add_to_group", group: "vip", users: [3] },
  { call: "remove_from_group", group: "vip", users: [3, 4] },
  { call: "set_coupon_group", coupon: 4, group: "vip", from: NOW + 40 * DAY },
  { call: "set_coupon_group", coupon: 4, group: "vip", from: NOW + 40 * DAY },
  { call: "set_coupon_group", coupon: 4, group: "vip", from: NOW - 40 * DAY },
  { call: "set_coupon_group", coupon: 4, group: "vip", from: NOW + 150 * DAY },
  { call: "set_coupon_start", coupon: 4, start: NOW + 30 * DAY },
  { call: "set_coupon_group", coupon: 5, group: "team", from: NOW + 40 * DAY },
  ...[null, "team", "vip"].map((after): Command => ({ call: "list_groups", after, page: 1 })),
  { call: "begin_early", coupon: 4 },
  { call: "set_coupon_group", coupon: 4, group: null, from: null },
  { call: "issue_coupons", coupon: 4, users: [4, 2, 3, 1] },
  { call: "midnight" },
  { call: "issue_coupon", user: 5, coupon: 2 },
  { call: "import_users", users: [5], name: "Ben" },
  { call: "issue_coupon", user: 4, coupon: 2 },
  { call: "issue_coupon", user: 4, coupon: 1 },
  { call: "use_coupon", user: 4, coupon: 2, reference: "order 1" },
  { call: "use_coupon", user: 4, coupon: 2, reference: "order 2" },
  { call: "undo_use", user: 4, coupon: 2, till: null, isLate: true },
  { call: "undo_use", user: 4, coupon: 2, till: "till:1" },
  { call: "undo_use", user: 4, coupon: 2, till: null },
  { call: "use_claim", user: 4, coupon: 2, reference: "order 1", till: "till:1" },
  { call: "use_claim", user: 4, coupon: 2, reference: "order 2", till: "till:2" },
  { call: "use_claim", user: 4, coupon: 2, reference: "order 1", till: "till:2" },
  { call: "undo_claim", user: 4, coupon: 2, till: "till:2" },
  { call: "undo_claim", user: 4, coupon: 2, till: "till:1", isLate: true },
  { call: "undo_claim", user: 4, coupon: 2, till: "till:1" },
  { call: "undo_claim", user: 4, coupon: 2, till: null },
  { call: "use_claim", user: 4, coupon: 1, reference: "order 1", till: "till:1" },
  { call: "undo_claim", user: 4, coupon: 1, till: "till:1" },
  ...SECRETS,
  ...WEBHOOKS,
  { call: "expire", coupon: 3 },
  { call: "issue_coupon", user: 4, coupon: 3 },
  { call: "use_coupon", user: 1, coupon: 3, reference: "order 1" },
  { call: "use_claim", user: 1, coupon: 3, reference: "order 1", till: "till:1" },
  { call: "pause_coupon", coupon: 1, reason: null },
  { call: "coupon_status" },
  ...STATES.map((state): Command => ({ call: "list_coupons", state, ...ALL, page: 2 })),
  { call: "list_coupons", state: null, ...ALL, prefix: "d", page: 3 },
  { call: "list_coupons", state: null, ...ALL, since: NOW - 200 * DAY, before: NOW - 200 * DAY + 1, page: 3 },
  { call: "coupon_timeline", coupon: 3 },
  { call: "coupon_timeline", coupon: 4 },
  ...PLANNING,
  ...COPYING,
  ...DEMAND,
  ...RETIRING,
  { call: "import_incoming_users", users: [0, 6, 6, 1, 2], name: "Ben" },
  { call: "forget_user", user: 2 },
  { call: "forget_user", user: 2 },
  { call: "use_coupon", user: 2, coupon: 4, reference: "order 1" },
  { call: "import_incoming_users", users: [2], name: "Ann" },
  ...IDENTITIES,
  { call: "import_users", users: [2], name: "Ann" },
  ...[1, 2, 4].map((coupon): Command => ({ call: "undo_use", user: 2, coupon, till: null })),
];

/** Those, and how they are read: what runs begin with before they are random. */
export const FIRST: [Command[], Reading] = [SELDOM, { every: 40, size: 25, some: EVERYTHING }];
