/** What is over, in plain words: coupons that become old and are retired, and what a day came to. */
import { DAY, dayAgo, dayOf, LONG_AGO, longAgo, midnightOf, NOW, RETIRABLE, type Row } from "./commands.ts";
import { askedFor, isOneOf, type Model, type Of, type Retired } from "./state.ts";

const CALLS = [
  ...(["retire_coupons", "fold_grants", "long_ago", "daily_summary"] as const),
  ...(["list_users", "list_grants", "list_plan"] as const),
];
export type OfPast = Of<(typeof CALLS)[number]>;
export const isOfPast = isOneOf(CALLS);

export function ofPast(model: Model, command: OfPast, seen: Row[]): Row[] {
  switch (command.call) {
    case "retire_coupons":
      return [retire(model, command, seen)];
    case "fold_grants":
      return [];
    case "long_ago":
      becomeOld(model, command.coupon);
      return [];
    case "daily_summary":
      return summary(model, command);
    case "list_users":
      return Object.entries(model.names)
        .filter(([id, name]) => name !== null && Number(id) > command.after)
        .map(([id, display_name]) => ({ user_id: Number(id), display_name }))
        .sort((a, b) => a.user_id - b.user_id)
        .slice(0, command.page);
    case "list_grants":
      return listGrants(model, command);
    case "list_plan":
      return model.plan
        .map(({ weekday, slot, pattern, hour, count }) => ({
          ...{ weekday, slot, code_pattern: pattern, hour, count },
        }))
        .sort((a, b) => a.weekday - b.weekday || a.slot - b.slot);
  }
}

/** Makes a coupon and its grants old, by hand; one that began too lately, is old already or was used stays as it is. */
function becomeOld({ coupons, grants }: Model, coupon: number): void {
  const c = coupons.find(({ coupon_id }) => coupon_id === coupon);
  const own = grants.filter((grant) => grant.coupon === coupon);
  if (!c || c.start > NOW - 99 * DAY || c.expiry <= longAgo(coupon)) return;
  if (own.some(({ use_reference }) => use_reference !== null)) return;
  c.expiry = longAgo(coupon);
  for (const grant of own) grant.age += LONG_AGO;
}

/** A step. Whether copies are left is what is seen: they lie by user, in pages. */
function retire(model: Model, { ago, most, isBusy }: Of<"retire_coupons">, [seen]: Row[]): Row {
  const told = (outcome: unknown, left: number | null, which?: Retired, grants = 0): Row => ({
    outcome,
    coupon_id: which?.coupon.coupon_id ?? null,
    code: which?.coupon.code ?? null,
    grants: left === null ? null : grants,
    grants_left: which?.left ?? null,
    coupons_left: left,
  });
  if (ago < RETIRABLE) return told("too_recent", null);
  if (isBusy) return told("busy", null);
  const isOver = ({ expiry }: { expiry: number }) => expiry < midnightOf(dayAgo(ago));
  const left = () => model.coupons.filter(isOver).length + model.retired.filter((r) => r.left > 0).length;
  const goesOn = () => (left() > 0 || model.isSweeping ? "going_on" : "done");
  const underWay = model.retired
    .toSorted((a, b) => a.coupon.coupon_id - b.coupon.coupon_id)
    .find((each) => each.left > 0);
  if (underWay) {
    const grants = Math.min(underWay.left, most);
    underWay.left -= grants;
    const isGone = (grant: Model["grants"][number]) =>
      grant.coupon === underWay.coupon.coupon_id && grant.position > underWay.left;
    underWay.gone.push(...model.grants.filter(isGone).map(({ age }) => dayAgo(age)));
    model.grants = model.grants.filter((grant) => !isGone(grant));
    return told(goesOn(), left(), underWay, grants);
  }
  const [coupon] = model.coupons.filter(isOver).toSorted((a, b) => a.expiry - b.expiry);
  if (coupon) {
    const retired = { coupon, left: coupon.issued, gone: [], asked: askedFor(model, coupon) };
    model.coupons = model.coupons.filter((c) => c !== coupon);
    model.retired.push(retired);
    model.isSweeping ||= coupon.issued > 0;
    return told(goesOn(), left(), retired);
  }
  if (model.isSweeping) model.isSweeping = seen?.["outcome"] === "going_on";
  return told(goesOn(), 0);
}

function listGrants({ coupons, grants }: Model, { coupon, after, page }: Of<"list_grants">): Row[] {
  if (!coupons.some(({ coupon_id }) => coupon_id === coupon)) return [];
  return grants
    .filter((grant) => grant.coupon === coupon && grant.position > after && grant.position <= after + page)
    .sort((a, b) => a.position - b.position)
    .map(({ position, user, age, use_reference }) => ({
      ...{ position, user_id: user, issued_on: dayAgo(age), use_reference },
    }));
}

function summary(model: Model, { ago, days }: Of<"daily_summary">): Row[] {
  const { coupons, retired, grants } = model;
  return Array.from({ length: days }, (_, n) => dayAgo(ago + days - 1 - n)).map((day) => {
    const offered = [
      ...coupons.map((coupon) => ({ coupon, asked: askedFor(model, coupon) })),
      ...retired,
    ].filter(({ coupon }) => dayOf(coupon.start) === day);
    const made = grants.filter(({ age }) => dayAgo(age) === day);
    const gone = retired.flatMap((each) => each.gone).filter((each) => each === day);
    return {
      day,
      coupons: offered.length,
      count: offered.reduce((sum, { coupon }) => sum + coupon.count, 0),
      asked: offered.reduce((sum, { asked }) => sum + asked, 0),
      issued: made.length + gone.length,
      used: made.filter(({ use_reference }) => use_reference !== null).length,
    };
  });
}
