/** Random commands for the service and its model. FC_SEED repeats a run; a failure prints its seed and the commands. */
import fc from "fast-check";
import {
  type Command,
  DAY,
  EXPIRIES,
  LONG_AGO,
  LONG_CODE,
  NOW,
  OFFER_DAYS,
  OPENING,
  RETIRABLE,
  STATES,
} from "./commands.ts";

fc.configureGlobal({
  includeErrorInReport: true,
  ...(process.env["FC_SEED"] ? { seed: Number(process.env["FC_SEED"]) } : {}),
});

/** Random commands about users 1 to `users` and coupons 1 to `coupons`. */
function commands(users: number, coupons: number) {
  const user = few(users);
  const coupon = few(coupons);
  const count = fc.integer({ min: 1, max: 5 });
  const code = fc.constantFrom(..."aABCDEFGHIJKLM", LONG_CODE);
  const since = fc.option(fc.constantFrom(...OFFER_DAYS), { freq: 2 });
  const before = fc.option(fc.constantFrom(...OFFER_DAYS.map((day) => day + 1)), { freq: 2 });
  const expiry = fc.constantFrom(...EXPIRIES);
  const start = fc
    .tuple(fc.constantFrom(...OFFER_DAYS), fc.integer({ min: 0, max: 3 }))
    .map(([day, ms]) => day + ms);
  const message = fc.constantFrom("free coffee", "half price");
  const reference = fc.constantFrom("order 1", "order 2");
  const till = fc.constantFrom("till:1", "till:2");
  const isLate = fc.constantFrom(false, false, false, true);
  const secret = fc.integer({ min: 1, max: 3 });
  // Of people too, whose names go when they are forgotten.
  const reason = fc.constantFrom(null, "for Ann", "asked by ben, and Ann", "Annual");
  const many = fc.array(user, { maxLength: 6 });
  const once = fc.uniqueArray(user, { maxLength: 3 });
  const name = fc.constantFrom("Ann", "Ben");
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
    useClaim: fc.record(
      { call: call("use_claim" as const), user, coupon, reference, till, secret },
      { requiredKeys: ["call", "user", "coupon", "reference", "till"] },
    ),
    undo: fc.record({ call: call("undo_use" as const), user, coupon, till: fc.option(till), isLate }),
    undoClaim: fc.record(
      { call: call("undo_claim" as const), user, coupon, till: fc.option(till), isLate, secret },
      { requiredKeys: ["call", "user", "coupon", "till", "isLate"] },
    ),
    pause: fc.record({ call: call("pause_coupon" as const), coupon, reason }),
    resume: fc.record({ call: call("resume_coupon" as const), coupon, reason }),
    setCount: fc.record({ call: call("set_coupon_count" as const), coupon, count }),
    setExpiry: fc.record({ call: call("set_coupon_expiry" as const), coupon, expiry }),
    setStart: fc.record({ call: call("set_coupon_start" as const), coupon, start }),
    ...grouping(coupon, once, page),
    edit: fc.record({
      call: call("edit_coupon" as const),
      coupon,
      code: fc.option(code, { freq: 2 }),
      message: fc.option(message, { freq: 2 }),
      description: fc.option(fc.constantFrom("d", "at the counter"), { freq: 2 }),
      metadata: fc.option(fc.constantFrom({}, { shop: "north" }), { freq: 2 }),
    }),
    withdraw: fc.record({ call: call("withdraw_coupon" as const), coupon }),
    ...planning(count),
    ...identities(name),
    ...lookingBack(coupon, page),
    ...operating(coupon, page, secret),
    status: fc.record({ call: call("coupon_status" as const) }),
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
    importIncoming: fc.record({
      call: call("import_incoming_users" as const),
      users: fc.array(fc.oneof(user, call(0)), { minLength: 1, maxLength: 4 }),
      name,
    }),
    forget: fc.record({ call: call("forget_user" as const), user }),
    midnight: fc.record({ call: call("midnight" as const) }),
    expire: fc.record({ call: call("expire" as const), coupon }),
  };
}

/** Random commands about groups, and who may have a coupon early. */
function grouping(coupon: fc.Arbitrary<number>, users: fc.Arbitrary<number[]>, page: fc.Arbitrary<number>) {
  const group = fc.constantFrom("vip", "team");
  const from = fc.constantFrom(-40, 40, 120, 160).map((days) => NOW + days * DAY);
  const call = fc.constant;
  return {
    setGroup: fc
      .tuple(coupon, fc.option(fc.record({ group, from }), { freq: 4, nil: { group: null, from: null } }))
      .map(([coupon, early]) => ({ call: "set_coupon_group" as const, coupon, ...early })),
    addTo: fc.record({ call: call("add_to_group" as const), group, users }),
    removeFrom: fc.record({ call: call("remove_from_group" as const), group, users }),
    listGroup: fc.record({ call: call("list_group" as const), group }),
    listGroups: fc.record({ call: call("list_groups" as const), after: fc.option(group), page }),
    beginEarly: fc.record({ call: call("begin_early" as const), coupon }),
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
      isBusy: fc.integer({ min: 1, max: 8 }).map((n) => n === 1),
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
    revokedKeys: fc.record({ call: call("revoked_keys" as const) }),
    subjectsAge: fc.record({ call: call("subjects_age" as const) }),
    forgetSubjects: fc.record({ call: call("forget_subjects" as const) }),
  };
}

/** Random commands about secrets, webhooks and what servers count. */
function operating(coupon: fc.Arbitrary<number>, page: fc.Arbitrary<number>, secret: fc.Arbitrary<number>) {
  const webhook = fc.constantFrom("crm", "Shop");
  const few = fc.integer({ min: 0, max: 3 });
  const call = fc.constant;
  return {
    claimSecrets: fc.record({ call: call("claim_secrets" as const) }),
    rotateSecret: fc.record({ call: call("rotate_claim_secret" as const) }),
    retireSecret: fc.record({ call: call("retire_claim_secret" as const), secret }),
    setWebhook: fc.record({
      call: call("set_webhook" as const),
      webhook,
      url: fc.constantFrom("https://crm.example/", "https://shop.example/"),
      types: fc.array(fc.constantFrom("used", "issued", "created"), { maxLength: 3 }),
    }),
    ofWebhook: fc.record({
      call: fc.constantFrom(
        ...(["remove_webhook", "rotate_webhook_secret", "enable_webhook"] as const),
        ...(["disable_webhook", "disable_webhook", "webhook_target"] as const),
      ),
      webhook,
    }),
    listWebhooks: fc.record({ call: call("list_webhooks" as const) }),
    demand: fc.record({
      call: call("count_demand" as const),
      sender: fc.integer({ min: 1, max: 2 }),
      number: fc.integer({ min: 1, max: 6 }),
      asked: fc.array(fc.record({ coupon, refused: few, replayed: few }), { maxLength: 3 }),
    }),
    demandAges: fc.record({ call: call("demand_ages" as const) }),
    foldDemand: fc.record({ call: call("fold_demand" as const), most: page }),
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
