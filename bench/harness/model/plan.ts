/** The plan, the days that are filled by it, and the copy of a day, in plain words. */
import { DAY, dayAgo, dayOf, midnightOf, NOW, type Row } from "./commands.ts";
import { create } from "./coupons.ts";
import { type Coupon, isOneOf, type Model, type Of, type PlanEntry } from "./state.ts";

const HOUR = 3_600_000;
const HALF_A_MINUTE = 30_000;
/** 1 is Monday. */
const weekdayOf = (day: string) => ((new Date(day).getUTCDay() + 6) % 7) + 1;

const CALLS = ["set_plan_entry", "remove_plan_entry", "fill_days", "preview_days", "copy_day"] as const;
export type OfPlan = Of<(typeof CALLS)[number]>;
export const isOfPlan = isOneOf(CALLS);

export function ofPlan(model: Model, command: OfPlan): Row[] {
  switch (command.call) {
    case "set_plan_entry":
      return [setPlanEntry(model, command)];
    case "remove_plan_entry":
      return [removePlanEntry(model, command)];
    case "fill_days":
      return fillDays(model, command);
    case "preview_days":
      return previewDays(model, command);
    case "copy_day":
      return copyDay(model, command);
  }
}

function setPlanEntry({ plan }: Model, command: Of<"set_plan_entry">): Row {
  const { ahead, slot, pattern, hour, count, isBrief = false } = command;
  const weekday = weekdayOf(dayAgo(-ahead));
  const entry = { weekday, slot, pattern, hour, count, isBrief };
  const at = plan.findIndex((each) => each.weekday === weekday && each.slot === slot);
  if (JSON.stringify(plan[at]) === JSON.stringify(entry))
    return { outcome: "unchanged", taken_by_slot: null, warning: null };
  const taken = (outcome: string, is: (other: PlanEntry) => boolean) =>
    plan
      .filter((other) => other.weekday === weekday && other.slot !== slot && is(other))
      .map((other) => ({ outcome, taken_by_slot: other.slot, warning: null }));
  const codeOf = (each: PlanEntry) => each.pattern.replace("{slot}", `${each.slot}`).toLowerCase();
  const [obstacle] = [
    ...taken("code_taken", (other) => codeOf(other) === codeOf(entry)),
    ...taken("start_time_taken", (other) => other.hour === hour),
    ...taken("count_taken", (other) => other.count === count),
  ];
  if (obstacle) return obstacle;
  plan.splice(at < 0 ? plan.length : at, at < 0 ? 0 : 1, entry);
  return { outcome: "planned", taken_by_slot: null, warning: isBrief ? "short_lived" : null };
}

function removePlanEntry(model: Model, { ahead, slot }: Of<"remove_plan_entry">): Row {
  const weekday = weekdayOf(dayAgo(-ahead));
  const left = model.plan.filter((entry) => entry.weekday !== weekday || entry.slot !== slot);
  const outcome = left.length < model.plan.length ? "removed" : "not_planned";
  model.plan = left;
  return { outcome };
}

function fillDays(model: Model, { ahead }: Of<"fill_days">): Row[] {
  const rows = make(model, planned(model, ahead));
  for (const { outcome, day, slot, coupon_id } of rows)
    if (coupon_id !== null && !model.planned.some((each) => each.day === day && each.slot === slot))
      if (["made", "already_made"].includes(outcome)) model.planned.push({ day, slot, coupon_id });
  return rows.map((row) => ({ ...row }));
}

/** Does it, and undoes all but the ids that it took. */
function previewDays(model: Model, { ahead }: Of<"preview_days">): Row[] {
  const trial = structuredClone(model);
  const rows = make(trial, planned(trial, ahead));
  const isTrials = (id: number | null) => id !== null && id > model.lastId;
  const told = rows.map(({ coupon_id, taken_by, ...row }) => ({
    ...row,
    coupon_id: isTrials(coupon_id) ? null : coupon_id,
    taken_by: isTrials(taken_by) ? null : taken_by,
  }));
  model.lastId = trial.lastId;
  return told;
}

function copyDay(model: Model, { from, to }: Of<"copy_day">): Row[] {
  const [fromDay, day] = [dayAgo(-from), dayAgo(-to)];
  const by = (to - from) * DAY;
  const drafts = model.coupons
    .filter(({ start }) => dayOf(start) === fromDay)
    .sort((a, b) => a.slot - b.slot)
    .map(({ slot, code, message, description, metadata, start, expiry, count }) => {
      const moved = code.replace(plain(fromDay), plain(day));
      const copied = moved === code ? `${code}-${plain(day)}` : moved;
      const texts = { code: copied, message, description, metadata };
      return { day, slot, ...texts, start: start + by, expiry: expiry + by, count };
    });
  return make(model, drafts).map((row) => ({ ...row }));
}

const plain = (day: string) => day.replaceAll("-", "");

type Offered = "code" | "message" | "description" | "metadata" | "start" | "expiry" | "count";
type Draft = { day: string; slot: number } & Pick<Coupon, Offered>;
type Made = { day: string; slot: number; coupon_id: number };

type Became = { [member in Offered]: Coupon[member] | null } & {
  outcome: string;
  day: string;
  slot: number;
  coupon_id: number | null;
  taken_by: number | null;
  warning: string | null;
};

/** What the plan has for today and so many days after it, and what was made from it already, by day and slot. */
function planned({ plan, planned }: Model, ahead: number): (Draft | Made)[] {
  return Array.from({ length: ahead + 1 }, (_, n) => dayAgo(-n)).flatMap((day) => {
    const made = planned.filter((each) => each.day === day);
    const drafts = plan
      .filter((entry) => entry.weekday === weekdayOf(day) && !made.some(({ slot }) => slot === entry.slot))
      .map(({ slot, pattern, hour, count, isBrief }): Draft => {
        const code = pattern.replace("{date}", plain(day)).replace("{slot}", `${slot}`);
        const start = midnightOf(day) + hour * HOUR;
        const texts = { code, message: "m", description: "d", metadata: {} };
        return { day, slot, ...texts, start, expiry: start + (isBrief ? HALF_A_MINUTE : DAY), count };
      });
    return [...made, ...drafts].sort((a, b) => a.slot - b.slot);
  });
}

/** One after the other, by create_coupon(). */
function make(model: Model, drafts: (Draft | Made)[]): Became[] {
  const asItIs = ({ day, slot, coupon_id }: Made): Became => {
    const c = model.coupons.find((each) => each.coupon_id === coupon_id);
    const { code = null, message = null, description = null, metadata = null } = c ?? {};
    const { start = null, expiry = null, count = null } = c ?? {};
    const is = { code, message, description, metadata, start, expiry, count };
    return { outcome: "already_made", day, slot, ...is, coupon_id, taken_by: null, warning: null };
  };
  return drafts.map((draft): Became => {
    if ("coupon_id" in draft) return asItIs(draft);
    const { day, slot, ...coupon } = draft;
    const became = (
      outcome: string,
      coupon_id: number | null,
      taken_by: number | null,
      warning: string | null = null,
    ): Became => ({ outcome, day, slot, ...coupon, coupon_id, taken_by, warning });
    if (draft.start <= NOW) return became("in_the_past", null, null);
    if (draft.code.length > 64) return became("code_too_long", null, null);
    const { outcome, coupon_id, warning } = create(model, { call: "create_coupon", ...coupon });
    if (outcome === "created") return became("made", coupon_id, null, warning);
    if (outcome.startsWith("already_")) return asItIs({ day, slot, coupon_id: coupon_id ?? 0 });
    return became(outcome, null, coupon_id);
  });
}
