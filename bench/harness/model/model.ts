/** The service as a few arrays, and its rules in plain words. */
import { isDeepStrictEqual } from "node:util";
import { type Command, dayAgo, dayOf, LAST_NIGHT, NOW, type Row } from "./commands.ts";

export interface Coupon {
  coupon_id: number;
  code: string;
  message: string;
  start: number;
  expiry: number;
  count: number;
  issued: number;
  paused: boolean;
  slot: number;
  /** What create_coupon() was given. */
  asked: unknown[];
}

interface Grant {
  user: number;
  coupon: number;
  position: number;
  issued_at: unknown;
  /** Midnights since. */
  age: number;
  used_date: unknown;
  use_reference: string | null;
  /** Who used it; null: by no till. */
  used_by: string | null;
}

export interface Model {
  /** Null: forgotten. */
  names: Record<number, string | null>;
  coupons: Coupon[];
  /** Their ids. */
  withdrawn: number[];
  grants: Grant[];
}

/** Carries a command out on the model; the answer as it must be. Instants are taken from the answer as it was seen. */
export function answer(model: Model, command: Command, seen: Row[]): Row[] {
  const { names, coupons, grants } = model;
  const c = coupons.find(({ coupon_id }) => "coupon" in command && coupon_id === command.coupon);
  switch (command.call) {
    case "create_coupon":
      return create(model, command);
    case "issue_coupon":
      return [claim(model, command.user, c, seen[0]?.["issued_at"])];
    case "issue_coupons":
      return command.users.map((user, i) => claim(model, user, c, seen[i]?.["issued_at"]));
    case "use_coupon":
      return use(model, command, c, seen);
    case "undo_use":
      return [undo(model, command, c)];
    case "use_claim":
    case "undo_claim":
      return byClaim(model, command, c, seen);
    case "pause_coupon":
    case "resume_coupon":
      return [{ outcome: setPaused(command.call === "pause_coupon", c) }];
    case "set_coupon_count": {
      if (!c) return [{ outcome: "coupon_not_found", issued: null, remaining: null }];
      let outcome = "changed";
      if (c.count === command.count) outcome = "unchanged";
      else if (command.count < c.issued) outcome = "below_issued";
      else if (coupons.filter(sameDay(c.start)).some(({ count }) => count === command.count))
        outcome = "count_taken";
      else c.count = command.count;
      return [{ outcome, issued: c.issued, remaining: c.count - c.issued }];
    }
    case "set_coupon_expiry": {
      if (!c) return [{ outcome: "coupon_not_found" }];
      let outcome = "changed";
      if (c.expiry === command.expiry) outcome = "unchanged";
      else if (command.expiry <= c.start) outcome = "not_after_start";
      else if (command.expiry <= NOW) outcome = "in_the_past";
      else c.expiry = command.expiry;
      return [{ outcome }];
    }
    case "set_coupon_start":
      return [move(model, command, c)];
    case "edit_coupon":
      return [edit(model, command, c)];
    case "withdraw_coupon":
      return [withdraw(model, command, c)];
    case "wallet":
      return wallet(model, command);
    case "live_coupons":
      return offers(coupons.filter(({ start, expiry }) => start <= NOW && expiry > NOW)).toReversed();
    case "upcoming_coupons":
      return offers(coupons.filter(({ start }) => start > NOW));
    case "find_coupon":
      return offers(coupons.filter(({ code }) => code.toLowerCase() === command.code.toLowerCase()));
    case "list_coupons":
      return list(coupons, command);
    case "coupon_timeline":
      return c?.issued ? [{ start: c.start, asked: c.issued, grants: c.issued, issued: c.issued }] : [];
    case "coupon_stats": {
      const used = grants.filter((each) => each.coupon === command.coupon && each.use_reference).length;
      return c
        ? [{ code: c.code, count: c.count, issued: c.issued, remaining: c.count - c.issued, used }]
        : [];
    }
    case "import_users":
      return command.users.map((user_id) => importUser(names, user_id, command.name));
    case "forget_user":
      return [forget(model, command.user)];
    case "midnight":
      for (const grant of grants) grant.age += 1;
      return [];
    case "expire": {
      const isOld = (grant: Grant) =>
        grant.coupon !== command.coupon || (grant.age > 0 && !grant.use_reference);
      if (c && c.start < LAST_NIGHT && grants.every(isOld)) c.expiry = LAST_NIGHT;
      return [];
    }
  }
}

type Of<Call extends Command["call"]> = Extract<Command, { call: Call }>;

const sameDay = (start: number) => (other: Coupon) => dayOf(other.start) === dayOf(start);

function setPaused(paused: boolean, c: Coupon | undefined): string {
  if (!c) return "coupon_not_found";
  const isSo = c.paused === paused;
  c.paused = paused;
  if (paused) return isSo ? "already_paused" : "paused";
  return isSo ? "not_paused" : "resumed";
}

function create({ coupons, withdrawn }: Model, command: Of<"create_coupon">): Row[] {
  const { code, message, start, expiry, count } = command;
  const asked = [code, message, start, expiry, count];
  const same =
    coupons.find((other) => isDeepStrictEqual(other.asked, asked)) ??
    coupons.find((other) => other.code.toLowerCase() === code.toLowerCase());
  if (same) {
    const { coupon_id, slot } = same;
    const now = [same.code, same.message, same.start, same.expiry, same.count];
    const isSame = [same.asked, now].some((each) => isDeepStrictEqual(each, asked));
    const outcome = isSame ? "already_created" : "code_taken";
    return [{ outcome, coupon_id, live_on: dayOf(same.start), slot }];
  }
  const live_on = dayOf(start);
  const day = coupons.filter(sameDay(start));
  const refuse = (outcome: string, other?: Coupon) => [
    { outcome, coupon_id: other?.coupon_id ?? null, live_on, slot: null },
  ];
  if (expiry <= NOW) return refuse("in_the_past");
  const atOnce = day.find((other) => other.start === start);
  if (atOnce) return refuse("start_time_taken", atOnce);
  const asMany = day.find((other) => other.count === count);
  if (asMany) return refuse("count_taken", asMany);
  if (day.length === 3) return refuse("day_full");
  const slot = freeSlot(day);
  const coupon_id = coupons.length + withdrawn.length + 1;
  coupons.push({ coupon_id, code, message, start, expiry, count, issued: 0, paused: false, slot, asked });
  return [{ outcome: "created", coupon_id, live_on, slot }];
}

function undo({ names, grants }: Model, command: Omit<Of<"undo_use">, "call">, c: Coupon | undefined): Row {
  const held = grants.find((grant) => grant.user === command.user && grant.coupon === command.coupon);
  const refuse = (outcome: string) => ({ outcome, used_date: null, use_reference: null });
  if (!held) return refuse(c ? "not_issued" : "coupon_not_found");
  if (!names[command.user]) return refuse("user_not_found");
  const { used_date, use_reference, used_by } = held;
  if (use_reference === null) return refuse("not_used");
  if (command.till !== null && command.till !== used_by) return refuse("used_by_another");
  Object.assign(held, { used_date: null, use_reference: null, used_by: null });
  return { outcome: "restored", used_date, use_reference };
}

function importUser(names: Model["names"], user_id: number, name: string): Row {
  const before = names[user_id];
  if (before === null) return { outcome: "forgotten", user_id };
  names[user_id] = name;
  return { outcome: !before ? "created" : before === name ? "unchanged" : "updated", user_id };
}

function forget({ names, grants }: Model, user: number): Row {
  const name = names[user];
  if (!name) return { outcome: name === null ? "already_forgotten" : "user_not_found" };
  names[user] = null;
  for (const grant of grants)
    if (grant.user === user && grant.use_reference) grant.use_reference = "(forgotten)";
  return { outcome: "forgotten" };
}

/** The same as without a code, and says whose it is. */
function byClaim(model: Model, command: Of<"use_claim" | "undo_claim">, c: Coupon | undefined, seen: Row[]) {
  const held = model.grants.find((grant) => grant.user === command.user && grant.coupon === command.coupon);
  const told = { coupon_id: null, position: null, user_id: null, display_name: null };
  if (!held || !c || !model.names[held.user])
    return [{ outcome: "claim_not_found", used_date: null, use_reference: null, ...told }];
  const [row] = command.call === "use_claim" ? use(model, command, c, seen) : [undo(model, command, c)];
  const { user: user_id, position } = held;
  return [{ ...row, coupon_id: c.coupon_id, position, user_id, display_name: model.names[user_id] }];
}

function freeSlot(day: Coupon[]): number {
  return [1, 2, 3].find((slot) => !day.some((other) => other.slot === slot)) ?? 0;
}

function move({ coupons }: Model, { start }: Of<"set_coupon_start">, c: Coupon | undefined): Row {
  if (!c) return { outcome: "coupon_not_found", live_on: null, slot: null, taken_by: null };
  const others = coupons.filter(sameDay(start)).filter((other) => other !== c);
  const atOnce = others.find((other) => other.start === start);
  const asMany = others.find((other) => other.count === c.count);
  let outcome = "changed";
  if (c.start === start) outcome = "unchanged";
  else if (c.start <= NOW) outcome = "already_started";
  else if (start <= NOW) outcome = "in_the_past";
  else if (start >= c.expiry) outcome = "not_before_expiry";
  else if (atOnce) outcome = "start_time_taken";
  else if (asMany) outcome = "count_taken";
  else if (others.length === 3) outcome = "day_full";
  else Object.assign(c, { start, slot: freeSlot(others) });
  const taken_by = outcome.endsWith("_taken") ? ((atOnce ?? asMany)?.coupon_id ?? null) : null;
  return { outcome, live_on: dayOf(c.start), slot: c.slot, taken_by };
}

function edit({ coupons }: Model, command: Of<"edit_coupon">, c: Coupon | undefined): Row {
  if (!c) return { outcome: "coupon_not_found", taken_by: null };
  const { code, message } = { ...c, ...notNull({ code: command.code, message: command.message }) };
  const other = coupons.find((each) => each !== c && each.code.toLowerCase() === code.toLowerCase());
  if (code === c.code && message === c.message) return { outcome: "unchanged", taken_by: null };
  if (code !== c.code && c.start <= NOW) return { outcome: "already_started", taken_by: null };
  if (other) return { outcome: "code_taken", taken_by: other.coupon_id };
  Object.assign(c, { code, message });
  return { outcome: "changed", taken_by: null };
}

const notNull = (members: Record<string, string | null>) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));

function withdraw(model: Model, { coupon }: Of<"withdraw_coupon">, c: Coupon | undefined): Row {
  if (!c)
    return {
      outcome: model.withdrawn.includes(coupon) ? "already_withdrawn" : "coupon_not_found",
      issued: null,
    };
  if (c.issued > 0) return { outcome: "has_grants", issued: c.issued };
  model.coupons = model.coupons.filter((other) => other !== c);
  model.withdrawn.push(coupon);
  return { outcome: "withdrawn", issued: 0 };
}

function use(
  { names, grants }: Model,
  command: Pick<Of<"use_coupon">, "user" | "coupon" | "reference"> & { till?: string },
  c: Coupon | undefined,
  seen: Row[],
): Row[] {
  const held = grants.find((grant) => grant.user === command.user && grant.coupon === command.coupon);
  const none = { used_date: null, use_reference: null };
  if (!c) return [{ outcome: "coupon_not_found", ...none }];
  if (!held) return [{ outcome: "not_issued", ...none }];
  if (!names[command.user]) return [{ outcome: "user_not_found", ...none }];
  if (held.use_reference !== null) {
    const { used_date, use_reference } = held;
    return [
      {
        outcome: use_reference === command.reference ? "used" : "already_used",
        used_date,
        use_reference,
      },
    ];
  }
  if (c.expiry <= NOW) return [{ outcome: "expired", ...none }];
  held.used_date = seen[0]?.["used_date"];
  held.use_reference = command.reference;
  held.used_by = command.till ?? null;
  return [{ outcome: "used", used_date: held.used_date, use_reference: held.use_reference }];
}

function wallet({ coupons, grants }: Model, command: Of<"wallet">): Row[] {
  return grants
    .filter((grant) => grant.user === command.user)
    .sort((a, b) => a.age - b.age)
    .slice(0, command.page)
    .map(({ coupon, position, age, use_reference }) => {
      const expired = coupons.some(({ coupon_id, expiry }) => coupon_id === coupon && expiry <= NOW);
      const state = use_reference ? "used" : expired ? "expired" : "issued";
      return { state, coupon_id: coupon, position, issued_on: dayAgo(age), use_reference };
    });
}

export function claim(model: Model, user: number, c: Coupon | undefined, issued_at: unknown): Row {
  const refuse = (outcome: string) => ({ outcome, position: null, issued_on: null, issued_at: null });
  if (!c) return refuse("coupon_not_found");
  const held = model.grants.find((grant) => grant.user === user && grant.coupon === c.coupon_id);
  if (held)
    return {
      outcome: "already_issued",
      position: held.position,
      issued_on: dayAgo(held.age),
      issued_at: held.issued_at,
    };
  const refusal = closed(c);
  if (refusal) return refuse(refusal);
  if (!model.names[user]) return refuse("user_not_found");
  if (spent(model, user)) return refuse("daily_limit_reached");
  c.issued += 1;
  const position = c.issued;
  model.grants.push({
    user,
    coupon: c.coupon_id,
    position,
    issued_at,
    age: 0,
    used_date: null,
    use_reference: null,
    used_by: null,
  });
  return { outcome: "issued", position, issued_on: dayAgo(0), issued_at };
}

export function closed(c: Coupon): string | undefined {
  if (c.start > NOW) return "not_started";
  if (c.expiry <= NOW) return "ended";
  if (c.paused) return "paused";
  return c.issued === c.count ? "sold_out" : undefined;
}

export function spent(model: Model, user: number): boolean {
  return model.grants.some((grant) => grant.user === user && grant.age === 0);
}

function list(coupons: Coupon[], { state, since, before, prefix, page }: Of<"list_coupons">): Row[] {
  return coupons
    .filter(({ start }) => start >= (since ?? start) && (before === null || start < before))
    .filter(({ code }) => code.toLowerCase().startsWith(prefix.toLowerCase()))
    .map((c) => ({ ...c, state: closed(c)?.replace("not_started", "upcoming") ?? "live" }))
    .filter((c) => state === null || c.state === state)
    .sort((a, b) => b.start - a.start)
    .slice(0, page)
    .map(({ state, coupon_id, code, start, issued }) => ({ state, coupon_id, code, start, issued }));
}

function offers(coupons: Coupon[]): Row[] {
  return coupons
    .toSorted((a, b) => a.start - b.start)
    .map(({ coupon_id, code, message, start, expiry, count, issued, paused }) => {
      const starts = start > NOW;
      return { coupon_id, code, message, start, expiry, count, remaining: count - issued, paused, starts };
    });
}
