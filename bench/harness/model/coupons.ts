/** What operators do with coupons, in plain words. */
import { isDeepStrictEqual } from "node:util";
import { BUCKET, DAY, dayOf, NOW, type Row } from "./commands.ts";
import {
  askedFor,
  type Coupon,
  closed,
  firstStart,
  freeSlot,
  type Model,
  type Of,
  sameDay,
} from "./state.ts";

interface Created {
  outcome: string;
  coupon_id: number | null;
  live_on: string | null;
  slot: number | null;
  warning: string | null;
}

const MINUTE = 60_000;

/** Every instant is days from now, but that of an expiry soon after a start. */
const shortLived = (start: number, expiry: number) => (expiry < start + MINUTE ? "short_lived" : null);

export function create(
  model: Model,
  command: Of<"create_coupon"> & Partial<Pick<Coupon, "description" | "metadata">>,
): Created {
  const { coupons, withdrawn } = model;
  const { code, message, start, expiry, count, reason = null, description = "d", metadata = {} } = command;
  const asked = [code, message, description, start, expiry, count, metadata];
  const isRetry = (other: Coupon) => isDeepStrictEqual(other.asked, asked);
  const retried = coupons.find(isRetry);
  const gone = withdrawn.findLast((other) => isRetry(other) && (reason ?? other.reason) === other.reason);
  if (!retried && gone)
    return {
      outcome: "already_withdrawn",
      coupon_id: gone.coupon_id,
      live_on: null,
      slot: null,
      warning: null,
    };
  const same = retried ?? coupons.find((other) => other.code.toLowerCase() === code.toLowerCase());
  if (same) {
    const { coupon_id, slot } = same;
    const now = [
      same.code,
      same.message,
      same.description,
      same.start,
      same.expiry,
      same.count,
      same.metadata,
    ];
    const isSame = [same.asked, now].some((each) => isDeepStrictEqual(each, asked));
    const outcome = isSame ? "already_created" : "code_taken";
    return { outcome, coupon_id, live_on: dayOf(same.start), slot, warning: null };
  }
  const live_on = dayOf(start);
  const day = coupons.filter(sameDay(start));
  const refuse = (outcome: string, other?: Coupon) => {
    return { outcome, coupon_id: other?.coupon_id ?? null, live_on, slot: null, warning: null };
  };
  if (expiry <= NOW) return refuse("in_the_past");
  const atOnce = day.find((other) => other.start === start);
  if (atOnce) return refuse("start_time_taken", atOnce);
  const asMany = day.find((other) => other.count === count);
  if (asMany) return refuse("count_taken", asMany);
  if (day.length === 3 || model.retired.some((each) => sameDay(start)(each.coupon)))
    return refuse("day_full");
  const slot = freeSlot(day);
  model.lastId += 1;
  const coupon_id = model.lastId;
  const given = { code, message, description, metadata, start, expiry, count, asked, reason };
  coupons.push({ coupon_id, ...given, issued: 0, paused: false, slot, group: null, from: null });
  const warning = shortLived(start, expiry) ?? (start <= NOW ? "already_started" : null);
  return { outcome: "created", coupon_id, live_on, slot, warning };
}

export function setPaused(paused: boolean, c: Coupon | undefined): string {
  if (!c) return "coupon_not_found";
  const isSo = c.paused === paused;
  c.paused = paused;
  if (paused) return isSo ? "already_paused" : "paused";
  return isSo ? "not_paused" : "resumed";
}

export function setCount({ coupons }: Model, { count }: Of<"set_coupon_count">, c: Coupon | undefined): Row {
  if (!c) return { outcome: "coupon_not_found", issued: null, remaining: null };
  let outcome = "changed";
  if (c.count === count) outcome = "unchanged";
  else if (count < c.issued) outcome = "below_issued";
  else if (coupons.filter(sameDay(c.start)).some((other) => other.count === count)) outcome = "count_taken";
  else c.count = count;
  return { outcome, issued: c.issued, remaining: c.count - c.issued };
}

export function setExpiry({ expiry }: Of<"set_coupon_expiry">, c: Coupon | undefined): Row {
  if (!c) return { outcome: "coupon_not_found", warning: null };
  let outcome = "changed";
  if (c.expiry === expiry) outcome = "unchanged";
  else if (expiry <= c.start) outcome = "not_after_start";
  else if (expiry <= NOW) outcome = "in_the_past";
  else c.expiry = expiry;
  return { outcome, warning: outcome === "changed" ? shortLived(c.start, expiry) : null };
}

export function move({ coupons }: Model, { start }: Of<"set_coupon_start">, c: Coupon | undefined): Row {
  if (!c) return { outcome: "coupon_not_found", live_on: null, slot: null, taken_by: null, warning: null };
  const others = coupons.filter(sameDay(start)).filter((other) => other !== c);
  const atOnce = others.find((other) => other.start === start);
  const asMany = others.find((other) => other.count === c.count);
  let outcome = "changed";
  if (c.start === start) outcome = "unchanged";
  else if (firstStart(c) <= NOW) outcome = "already_started";
  else if (start <= NOW) outcome = "in_the_past";
  else if (c.from !== null && start <= c.from) outcome = "not_after_eligible_from";
  else if (start >= c.expiry) outcome = "not_before_expiry";
  else if (atOnce) outcome = "start_time_taken";
  else if (asMany) outcome = "count_taken";
  else if (others.length === 3) outcome = "day_full";
  else Object.assign(c, { start, slot: freeSlot(others) });
  const taken_by = outcome.endsWith("_taken") ? ((atOnce ?? asMany)?.coupon_id ?? null) : null;
  const warning = outcome === "changed" ? shortLived(c.start, c.expiry) : null;
  return { outcome, live_on: dayOf(c.start), slot: c.slot, taken_by, warning };
}

export function edit({ coupons }: Model, command: Of<"edit_coupon">, c: Coupon | undefined): Row {
  if (!c) return { outcome: "coupon_not_found", taken_by: null };
  const { code, message, description, metadata } = command;
  const is = { code: c.code, message: c.message, description: c.description, metadata: c.metadata };
  const becomes = { ...is, ...notNull({ code, message, description, metadata }) };
  const refuse = (outcome: string, other?: Coupon) => ({ outcome, taken_by: other?.coupon_id ?? null });
  if (isDeepStrictEqual(becomes, is)) return refuse("unchanged");
  if (becomes.code !== c.code && firstStart(c) <= NOW) return refuse("already_started");
  const other = coupons.find((each) => each !== c && each.code.toLowerCase() === becomes.code.toLowerCase());
  if (other) return refuse("code_taken", other);
  Object.assign(c, becomes);
  return { outcome: "changed", taken_by: null };
}

const notNull = (members: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));

export function withdraw(model: Model, { coupon }: Of<"withdraw_coupon">, c: Coupon | undefined): Row {
  if (!c)
    return {
      outcome: model.withdrawn.some(({ coupon_id }) => coupon_id === coupon)
        ? "already_withdrawn"
        : "coupon_not_found",
      issued: null,
    };
  if (c.issued > 0) return { outcome: "has_grants", issued: c.issued };
  model.coupons = model.coupons.filter((other) => other !== c);
  model.withdrawn.push(c);
  return { outcome: "withdrawn", issued: 0 };
}

export function list(coupons: Coupon[], { state, since, before, prefix, page }: Of<"list_coupons">): Row[] {
  return coupons
    .filter(({ start }) => start >= (since ?? start) && (before === null || start < before))
    .filter(({ code }) => code.toLowerCase().startsWith(prefix.toLowerCase()))
    .map((c) => ({ ...c, state: closed(c)?.replace("not_started", "upcoming") ?? "live" }))
    .filter((c) => state === null || c.state === state)
    .sort((a, b) => b.start - a.start)
    .slice(0, page)
    .map(({ state, coupon_id, code, start, issued, group, from }) => ({
      ...{ state, coupon_id, code, start, issued, group, from },
    }));
}

/** All in one bucket: it begins at the start, or, if all were asked for early, ends there. */
export function timeline(model: Model, c: Coupon | undefined): Row[] {
  const own = model.demand.filter(({ coupon }) => coupon === c?.coupon_id);
  if (!c || (c.issued === 0 && own.length === 0)) return [];
  const { start, issued } = c;
  const refused = own.reduce((sum, each) => sum + each.refused, 0);
  const begins = start > NOW ? start - BUCKET * DAY : start;
  return [{ start: begins, asked: askedFor(model, c), grants: issued, refused, issued }];
}

/** What operators watch: all that has not ended, and what is of today. */
export function status(coupons: Coupon[]): Row[] {
  return coupons
    .filter(({ start, expiry }) => expiry > NOW || dayOf(start) === dayOf(NOW))
    .sort((a, b) => a.start - b.start)
    .map((c) => {
      const { coupon_id, code, paused, count, issued } = c;
      const state = closed(c)?.replace("not_started", "upcoming") ?? "live";
      const [starts, has_grants] = [c.start > NOW, issued > 0];
      return { coupon_id, code, state, paused, count, issued, remaining: count - issued, starts, has_grants };
    });
}

export function offers(coupons: Coupon[]): Row[] {
  return coupons
    .toSorted((a, b) => a.start - b.start)
    .map(({ coupon_id, code, message, description, metadata, start, expiry, count, issued, paused }) => {
      const [remaining, starts] = [count - issued, start > NOW];
      return {
        ...{
          coupon_id,
          code,
          message,
          description,
          metadata,
          start,
          expiry,
          count,
          remaining,
          paused,
          starts,
        },
      };
    });
}
