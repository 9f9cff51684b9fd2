/** The service as a few arrays, and its rules in plain words. */
import { type Command, dayAgo, EARLY, LAST_NIGHT, NOW, type Row } from "./commands.ts";
import {
  create,
  edit,
  list,
  move,
  offers,
  setCount,
  setExpiry,
  setPaused,
  status,
  timeline,
  withdraw,
} from "./coupons.ts";
import { isOfDemand, ofDemand } from "./demand.ts";
import { isMember, isOfGroups, ofGroups, removeFrom } from "./groups.ts";
import { isOfIdentities, ofIdentities } from "./identities.ts";
import { isOfPast, ofPast } from "./past.ts";
import { isOfPlan, ofPlan } from "./plan.ts";
import { isInUse, isOfSecrets, ofSecrets } from "./secrets.ts";
import { askedFor, type Coupon, closed, type Grant, heldBy, type Model, type Of, spent } from "./state.ts";
import { isOfWebhooks, ofWebhooks } from "./webhooks.ts";

/** Carries a command out on the model; the answer as it must be. Instants are taken from the answer as it was seen. */
export function answer(model: Model, command: Command, seen: Row[]): Row[] {
  const { names, coupons, grants } = model;
  const c = coupons.find(({ coupon_id }) => "coupon" in command && coupon_id === command.coupon);
  if (isOfIdentities(command)) return ofIdentities(model, command, seen, (user) => forget(model, user));
  if (isOfGroups(command)) return ofGroups(model, command, c);
  if (isOfPlan(command)) return ofPlan(model, command);
  if (isOfPast(command)) return ofPast(model, command, seen);
  if (isOfSecrets(command)) return ofSecrets(model, command);
  if (isOfWebhooks(command)) return ofWebhooks(model, command, seen);
  if (isOfDemand(command)) return ofDemand(model, command);
  switch (command.call) {
    case "create_coupon":
      return [{ ...create(model, command) }];
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
    case "set_coupon_count":
      return [setCount(model, command, c)];
    case "set_coupon_expiry":
      return [setExpiry(command, c)];
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
      return timeline(model, c);
    case "coupon_status":
      return status(coupons);
    case "coupon_stats":
      return stats(model, command.coupon);
    case "import_users":
      return command.users.map((user_id) => importUser(names, user_id, command.name));
    case "import_incoming_users":
      return importLines(names, command);
    case "forget_user":
      return [forget(model, command.user)];
    case "midnight":
      for (const grant of grants) grant.age += 1;
      return [];
    case "begin_early":
      if (c && c.from !== null && c.issued === 0) c.from = EARLY;
      return [];
    case "expire": {
      const isOld = (grant: Grant) =>
        grant.coupon !== command.coupon || (grant.age > 0 && !grant.use_reference);
      if (c && c.start < LAST_NIGHT && grants.every(isOld)) c.expiry = LAST_NIGHT;
      return [];
    }
  }
}

function undo(model: Model, command: Omit<Of<"undo_use">, "call">, c: Coupon | undefined): Row {
  const held = heldBy(model, command.user, command.coupon);
  const refuse = (outcome: string) => ({ outcome, used_date: null, use_reference: null });
  if (!c) return refuse("coupon_not_found");
  if (!held) return refuse("not_issued");
  if (!model.names[command.user]) return refuse("user_not_found");
  const { used_date, use_reference, used_by } = held;
  if (use_reference === null || command.isLate) return refuse("not_used");
  if (command.till !== null && command.till !== used_by) return refuse("used_by_another");
  Object.assign(held, { used_date: null, use_reference: null, used_by: null });
  return { outcome: "restored", used_date, use_reference };
}

/** Of a retired one too. */
function stats(model: Model, coupon: number): Row[] {
  const used = model.grants.filter((each) => each.coupon === coupon && each.use_reference).length;
  return [...model.coupons.map((each) => ({ coupon: each, asked: askedFor(model, each) })), ...model.retired]
    .filter((each) => each.coupon.coupon_id === coupon)
    .map(({ coupon: { code, count, issued }, asked }) => {
      return { code, count, issued, remaining: count - issued, used, asked };
    });
}

function importUser(names: Model["names"], user_id: number, name: string): Row {
  const before = names[user_id];
  if (before === null) return { outcome: "forgotten", user_id };
  names[user_id] = name;
  return { outcome: !before ? "created" : before === name ? "unchanged" : "updated", user_id };
}

/** A line each. 0 stands for what is no id. */
function importLines(names: Model["names"], { users, name }: Of<"import_incoming_users">): Row[] {
  return users.map((user_id, i) => {
    const line = i + 1;
    if (user_id === 0) return { outcome: "invalid", line, user_id: null };
    if (users.indexOf(user_id) < i) return { outcome: "invalid", line, user_id };
    return { line, ...importUser(names, user_id, name) };
  });
}

function forget(model: Model, user: number): Row {
  const { names, grants } = model;
  const name = names[user];
  if (!name) return { outcome: name === null ? "already_forgotten" : "user_not_found" };
  names[user] = null;
  for (const group of Object.keys(model.groups)) removeFrom(model, group, user);
  for (const grant of grants)
    if (grant.user === user && grant.use_reference) grant.use_reference = "(forgotten)";
  return { outcome: "forgotten" };
}

/** The same as without a code, and says whose it is. */
function byClaim(model: Model, command: Of<"use_claim" | "undo_claim">, c: Coupon | undefined, seen: Row[]) {
  const held = heldBy(model, command.user, command.coupon);
  const told = { coupon_id: null, position: null, user_id: null, display_name: null };
  if (!held || !c || !model.names[held.user] || !isInUse(model, command.secret))
    return [{ outcome: "claim_not_found", used_date: null, use_reference: null, ...told }];
  const [row] = command.call === "use_claim" ? use(model, command, c, seen) : [undo(model, command, c)];
  const { user: user_id, position } = held;
  return [{ ...row, coupon_id: c.coupon_id, position, user_id, display_name: model.names[user_id] }];
}

function use(
  model: Model,
  command: Pick<Of<"use_coupon">, "user" | "coupon" | "reference"> & { till?: string },
  c: Coupon | undefined,
  seen: Row[],
): Row[] {
  const held = heldBy(model, command.user, command.coupon);
  const none = { used_date: null, use_reference: null };
  if (!c) return [{ outcome: "coupon_not_found", ...none }];
  if (!held) return [{ outcome: "not_issued", ...none }];
  if (!model.names[command.user]) return [{ outcome: "user_not_found", ...none }];
  if (held.use_reference !== null) {
    const { used_date, use_reference } = held;
    const isOwn = command.till === undefined || command.till === held.used_by;
    return [
      {
        outcome: isOwn && use_reference === command.reference ? "used" : "already_used",
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

function wallet({ names, coupons, grants, secrets }: Model, command: Of<"wallet">): Row[] {
  return grants
    .filter((grant) => grant.user === command.user)
    .filter(({ coupon }) => coupons.some(({ coupon_id }) => coupon_id === coupon))
    .sort((a, b) => a.age - b.age)
    .slice(0, command.page)
    .map(({ coupon, position, age, use_reference }) => {
      const expired = coupons.some(({ coupon_id, expiry }) => coupon_id === coupon && expiry <= NOW);
      const state = use_reference ? "used" : expired ? "expired" : "issued";
      const secret = expired || !names[command.user] ? null : secrets.length;
      return { state, coupon_id: coupon, position, issued_on: dayAgo(age), use_reference, secret };
    });
}

export function claim(model: Model, user: number, c: Coupon | undefined, issued_at: unknown): Row {
  const refuse = (outcome: string) => ({ outcome, position: null, issued_on: null, issued_at: null });
  if (!c) return refuse("coupon_not_found");
  const held = heldBy(model, user, c.coupon_id);
  if (held)
    return {
      outcome: "already_issued",
      position: held.position,
      issued_on: dayAgo(held.age),
      issued_at: held.issued_at,
    };
  const refusal = closed(c, isMember(model, c, user));
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
