/** Random commands for the service and its model. FC_SEED repeats a run; a failure prints its seed and the commands. */
import fc from "fast-check";
import { noonZone } from "../noon.ts";

fc.configureGlobal({
  includeErrorInReport: true,
  ...(process.env["FC_SEED"] ? { seed: Number(process.env["FC_SEED"]) } : {}),
});

export type Command =
  | {
      call: "create_coupon";
      code: string;
      message: string;
      start: number;
      expiry: number;
      count: number;
      reason?: string | null;
    }
  | { call: "issue_coupon"; user: number; coupon: number }
  | { call: "issue_coupons"; users: number[]; coupon: number }
  | { call: "use_coupon"; user: number; coupon: number; reference: string }
  | { call: "undo_use"; user: number; coupon: number; till: string | null }
  | { call: "use_claim"; user: number; coupon: number; reference: string; till: string }
  | { call: "undo_claim"; user: number; coupon: number; till: string | null }
  | { call: "pause_coupon"; coupon: number }
  | { call: "resume_coupon"; coupon: number }
  | { call: "set_coupon_count"; coupon: number; count: number }
  | { call: "set_coupon_expiry"; coupon: number; expiry: number }
  | { call: "set_coupon_start"; coupon: number; start: number }
  | { call: "set_coupon_group"; coupon: number; group: string | null; from: number | null }
  | { call: "edit_coupon"; coupon: number; code: string | null; message: string | null }
  | { call: "withdraw_coupon"; coupon: number }
  | { call: "set_plan_entry"; ahead: number; slot: number; pattern: string; hour: number; count: number }
  | { call: "remove_plan_entry"; ahead: number; slot: number }
  | { call: "fill_days"; ahead: number }
  | { call: "preview_days"; ahead: number }
  | { call: "copy_day"; from: number; to: number }
  | { call: "wallet"; user: number; page: number }
  | { call: "live_coupons" }
  | { call: "upcoming_coupons" }
  | { call: "find_coupon"; code: string }
  | {
      call: "list_coupons";
      state: State | null;
      since: number | null;
      before: number | null;
      prefix: string;
      page: number;
    }
  | { call: "coupon_stats"; coupon: number }
  | { call: "coupon_timeline"; coupon: number }
  | { call: "import_users"; users: number[]; name: string }
  | { call: "add_to_group"; group: string; users: number[] }
  | { call: "remove_from_group"; group: string; users: number[] }
  | { call: "list_group"; group: string }
  | { call: "list_plan" }
  | { call: "list_users"; after: number; page: number }
  | { call: "list_grants"; coupon: number; after: number; page: number }
  | { call: "daily_summary"; ago: number; days: number }
  | { call: "fold_grants" }
  | { call: "retire_coupons"; ago: number; most: number }
  | { call: "list_groups"; after: string | null; page: number }
  | { call: "forget_user"; user: number }
  | { call: "resolve_subjects"; issuer: string; subjects: string[]; creating: boolean }
  | { call: "find_subjects"; subject: string }
  | { call: "forget_subject"; issuer: string; subject: string }
  | { call: "record_key"; key: string; name: string }
  | { call: "revoke_key"; key: string }
  | { call: "list_keys" }
  | { call: "midnight" }
  | { call: "begin_early"; coupon: number }
  | { call: "expire"; coupon: number }
  | { call: "long_ago"; coupon: number };

export type Row = Record<string, unknown>;

export const STATES = ["upcoming", "ended", "paused", "sold_out", "live"] as const;
export type State = (typeof STATES)[number];

/** Milliseconds; every instant is days away from now, so that no answer depends on when it was asked. */
export const DAY = 86_400_000;
export const NOW = Date.now();
export const LAST_NIGHT = NOW - DAY / 2;
/** So many days is what becomes old at once, and an expiry of then is of the past that can be retired. */
export const LONG_AGO = 45;
/** When a coupon of long ago expired: each at another moment, since they are retired in that order. */
export const longAgo = (coupon: number) => NOW - (LONG_AGO - 5) * DAY + coupon * 1_000;
/** The least number of days ago of what retire_coupons() takes. */
export const RETIRABLE = 33;

/** The zone of the service, in which it is noon: so midnight comes by command only. */
export const NOON = noonZone(NOW);

/** The day of an instant, there. */
export function dayOf(ms: number): string {
  return new Date(ms + NOON.ahead).toISOString().slice(0, 10);
}

export function midnightOf(day: string): number {
  return Date.parse(day) - NOON.ahead;
}

export function dayAgo(days: number): string {
  return dayOf(NOW - days * DAY);
}

/** Since when a group may have what begins early. */
export const EARLY = NOW - 250 * DAY;
/** Of a timeline, in days. */
export const BUCKET = 366;
const OFFER_DAYS = [-200, -100, 100, 150].map((days) => NOW + days * DAY);
const EXPIRIES = [-150, -50, 50, 200, 300].map((days) => NOW + days * DAY);

/** What every run begins with: two coupons to be had, and one that is sold out since yesterday. */
export const OPENING: Command[] = [
  { call: "import_users", users: [1, 2, 3, 4], name: "Ann" },
  {
    call: "create_coupon",
    code: "A",
    message: "m",
    start: NOW - 200 * DAY,
    expiry: NOW + 50 * DAY,
    count: 2,
  },
  {
    call: "create_coupon",
    code: "B",
    message: "m",
    start: NOW - 100 * DAY,
    expiry: NOW + 50 * DAY,
    count: 1,
  },
  {
    call: "create_coupon",
    code: "C",
    message: "m",
    start: NOW - 200 * DAY + 1,
    expiry: NOW + 50 * DAY,
    count: 3,
  },
  { call: "issue_coupons", users: [3, 1, 2], coupon: 3 },
  { call: "midnight" },
];

/** Random commands about users 1 to `users` and coupons 1 to `coupons`. */
function commands(users: number, coupons: number) {
  const user = few(users);
  const coupon = few(coupons);
  const count = fc.integer({ min: 1, max: 5 });
  const code = fc.constantFrom(..."aABCDEFGHIJKLM");
  const since = fc.option(fc.constantFrom(...OFFER_DAYS), { freq: 2 });
  const before = fc.option(fc.constantFrom(...OFFER_DAYS.map((day) => day + 1)), { freq: 2 });
  const expiry = fc.constantFrom(...EXPIRIES);
  const start = fc
    .tuple(fc.constantFrom(...OFFER_DAYS), fc.integer({ min: 0, max: 3 }))
    .map(([day, ms]) => day + ms);
  const message = fc.constantFrom("free coffee", "half price");
  const reference = fc.constantFrom("order 1", "order 2");
  const till = fc.constantFrom("till:1", "till:2");
  const many = fc.array(user, { maxLength: 6 });
  const once = fc.uniqueArray(user, { maxLength: 3 });
  const name = fc.constantFrom("Ann", "Ben");
  const group = fc.constantFrom("vip", "team");
  const from = fc.constantFrom(-40, 40, 120, 160).map((days) => NOW + days * DAY);
  const page = fc.integer({ min: 1, max: 3 });
  const call = fc.constant;
  return {
    create: fc
      .record({ call: call("create_coupon" as const), code, message, start, expiry, count })
      .filter(({ start, expiry }) => expiry > start),
    createAgain: fc
      .tuple(
        fc.constantFrom(...OPENING.filter((command) => command.call === "create_coupon")),
        fc.constantFrom(null, "spring", "autumn"),
      )
      .map(([command, reason]) => ({ ...command, reason })),
    issue: fc.record({ call: call("issue_coupon" as const), user, coupon }),
    issueAll: fc.record({ call: call("issue_coupons" as const), users: many, coupon }),
    use: fc.record({ call: call("use_coupon" as const), user, coupon, reference }),
    useClaim: fc.record({ call: call("use_claim" as const), user, coupon, reference, till }),
    undo: fc.record({ call: call("undo_use" as const), user, coupon, till: fc.option(till) }),
    undoClaim: fc.record({ call: call("undo_claim" as const), user, coupon, till: fc.option(till) }),
    pause: fc.record({ call: call("pause_coupon" as const), coupon }),
    resume: fc.record({ call: call("resume_coupon" as const), coupon }),
    setCount: fc.record({ call: call("set_coupon_count" as const), coupon, count }),
    setExpiry: fc.record({ call: call("set_coupon_expiry" as const), coupon, expiry }),
    setStart: fc.record({ call: call("set_coupon_start" as const), coupon, start }),
    setGroup: fc
      .tuple(coupon, fc.option(fc.record({ group, from }), { freq: 4, nil: { group: null, from: null } }))
      .map(([coupon, early]) => ({ call: "set_coupon_group" as const, coupon, ...early })),
    addTo: fc.record({ call: call("add_to_group" as const), group, users: once }),
    removeFrom: fc.record({ call: call("remove_from_group" as const), group, users: once }),
    listGroup: fc.record({ call: call("list_group" as const), group }),
    listGroups: fc.record({ call: call("list_groups" as const), after: fc.option(group), page }),
    beginEarly: fc.record({ call: call("begin_early" as const), coupon }),
    edit: fc.record({
      call: call("edit_coupon" as const),
      coupon,
      code: fc.option(code, { freq: 2 }),
      message: fc.option(message, { freq: 2 }),
    }),
    withdraw: fc.record({ call: call("withdraw_coupon" as const), coupon }),
    ...planning(count),
    ...identities(name),
    ...lookingBack(coupon, page),
    wallet: fc.record({ call: call("wallet" as const), user, page }),
    live: fc.record({ call: call("live_coupons" as const) }),
    upcoming: fc.record({ call: call("upcoming_coupons" as const) }),
    find: fc.record({ call: call("find_coupon" as const), code }),
    list: fc.record({
      call: call("list_coupons" as const),
      ...{ state: fc.option(fc.constantFrom(...STATES)), since, before, page },
      prefix: fc.oneof(call(""), code),
    }),
    stats: fc.record({ call: call("coupon_stats" as const), coupon }),
    timeline: fc.record({ call: call("coupon_timeline" as const), coupon }),
    importUsers: fc.record({ call: call("import_users" as const), users: once, name }),
    forget: fc.record({ call: call("forget_user" as const), user }),
    midnight: fc.record({ call: call("midnight" as const) }),
    expire: fc.record({ call: call("expire" as const), coupon }),
  };
}

/** Random commands about what is over, and lists of what there is. */
function lookingBack(coupon: fc.Arbitrary<number>, page: fc.Arbitrary<number>) {
  const call = fc.constant;
  const after = fc.integer({ min: 0, max: 3 });
  return {
    listPlan: fc.record({ call: call("list_plan" as const) }),
    listUsers: fc.record({ call: call("list_users" as const), after, page }),
    listGrants: fc.record({ call: call("list_grants" as const), coupon, after, page }),
    summary: fc.record({
      call: call("daily_summary" as const),
      ago: fc.constantFrom(0, 1, LONG_AGO, LONG_AGO + 1, 100, 200),
      days: fc.integer({ min: 1, max: 3 }),
    }),
    longAgo: fc.record({ call: call("long_ago" as const), coupon }),
    fold: fc.record({ call: call("fold_grants" as const) }),
    retire: fc.record({
      call: call("retire_coupons" as const),
      ago: fc.constantFrom(RETIRABLE, RETIRABLE, RETIRABLE, RETIRABLE - 1),
      most: page,
    }),
  };
}

/** Random commands about the plan, of coupons with so many units. */
function planning(count: fc.Arbitrary<number>) {
  // Days from today, so that two weekdays are seldom planned at once, and times that are over today or to come.
  const ahead = fc.integer({ min: 0, max: 2 });
  const coming = fc.integer({ min: 1, max: 2 }); // a copy to today could start just now
  const day = fc.constantFrom(...OFFER_DAYS.map((ms) => Math.round((ms - NOW) / DAY)));
  const slot = fc.integer({ min: 1, max: 3 });
  const pattern = fc.constantFrom("P{date}", "P{slot}-{date}", "A-{date}");
  const hour = fc.constantFrom(6, 20, 22);
  const call = fc.constant;
  return {
    plan: fc.record({ call: call("set_plan_entry" as const), ahead, slot, pattern, hour, count }),
    unplan: fc.record({ call: call("remove_plan_entry" as const), ahead, slot }),
    fill: fc.record({ call: call("fill_days" as const), ahead }),
    preview: fc.record({ call: call("preview_days" as const), ahead }),
    copyDay: fc
      .record({ call: call("copy_day" as const), from: fc.oneof(ahead, day), to: fc.oneof(coming, day) })
      .filter(({ from, to }) => from !== to),
  };
}

/** Random commands about subjects of identity providers and about keys, with such names. */
function identities(name: fc.Arbitrary<string>) {
  const issuer = fc.constantFrom("https://id.example/", "https://other.example/");
  const subject = fc.constantFrom("ann", "Ann");
  const key = fc.constantFrom("k-1", "k-2", "k-3");
  const subjects = fc.array(subject, { minLength: 1, maxLength: 3 });
  const call = fc.constant;
  return {
    resolve: fc.record({ call: call("resolve_subjects" as const), issuer, subjects, creating: fc.boolean() }),
    findSubjects: fc.record({ call: call("find_subjects" as const), subject }),
    forgetSubject: fc.record({ call: call("forget_subject" as const), issuer, subject }),
    recordKey: fc.record({ call: call("record_key" as const), key, name }),
    revokeKey: fc.record({ call: call("revoke_key" as const), key }),
    listKeys: fc.record({ call: call("list_keys" as const) }),
  };
}

/** 1 to `max`, the lower ones more often. */
function few(max: number) {
  return fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max }));
}

/** As many of each as its weight says. */
export function mix(
  users: number,
  coupons: number,
  weights: Partial<Record<keyof ReturnType<typeof commands>, number>>,
) {
  const all = commands(users, coupons);
  const names = Object.keys(weights) as (keyof typeof all)[];
  return fc.oneof(
    ...names.map((name) => ({ weight: weights[name] ?? 0, arbitrary: all[name] as fc.Arbitrary<Command> })),
  );
}
