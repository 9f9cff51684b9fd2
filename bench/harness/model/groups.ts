/** Groups in the model: who is in which, and which coupon may be had early. */
import { NOW, type Row } from "./commands.ts";
import { type Coupon, firstStart, isOneOf, type Model, type Of } from "./state.ts";

const CALLS = ["set_coupon_group", "add_to_group", "remove_from_group", "list_group", "list_groups"] as const;
export type OfGroups = Of<(typeof CALLS)[number]>;
export const isOfGroups = isOneOf(CALLS);

export function ofGroups(model: Model, command: OfGroups, c: Coupon | undefined): Row[] {
  switch (command.call) {
    case "set_coupon_group":
      return [{ ...setGroup(model, command, c) }];
    case "add_to_group":
      return command.users.map((user_id) => addTo(model, command.group, user_id));
    case "remove_from_group":
      return command.users.map((user_id) => removeFrom(model, command.group, user_id));
    case "list_group":
      return membersOf(model, command.group)
        .toSorted((a, b) => a - b)
        .map((user_id) => ({ user_id, display_name: model.names[user_id] }));
    case "list_groups":
      return list(model, command);
  }
}

/** Whether the user is in the coupon's group. */
export const isMember = (model: Model, { group }: Coupon, user: number) =>
  group !== null && membersOf(model, group).includes(user);

function setGroup(
  model: Model,
  { group, from }: Of<"set_coupon_group">,
  c: Coupon | undefined,
): { outcome: string; warning: string | null } {
  const refuse = (outcome: string) => ({ outcome, warning: null });
  if (!c) return refuse("coupon_not_found");
  if (c.group === group && c.from === from) return refuse("unchanged");
  if (firstStart(c) <= NOW) return refuse("already_started");
  if (from !== null && from <= NOW) return refuse("in_the_past");
  if (from !== null && from >= c.start) return refuse("not_before_start");
  Object.assign(c, { group, from });
  const isEmpty = group !== null && membersOf(model, group).length === 0;
  return { outcome: "changed", warning: isEmpty ? "empty_group" : null };
}

function list(model: Model, { after, page }: Of<"list_groups">): Row[] {
  const groups = new Map(
    Object.entries(model.groups).map(([name, members]) => [name, [members.length, 0] as [number, number]]),
  );
  for (const { group } of model.coupons) {
    if (group === null) continue;
    const [members, coupons] = groups.get(group) ?? [0, 0];
    groups.set(group, [members, coupons + 1]);
  }
  return [...groups]
    .filter(([name, [members, coupons]]) => members + coupons > 0 && (after === null || name > after))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, page)
    .map(([group_name, [member_count, coupon_count]]) => ({ group_name, member_count, coupon_count }));
}

const membersOf = ({ groups }: Model, group: string) => groups[group] ?? [];

function addTo(model: Model, group: string, user_id: number): Row {
  if (!model.names[user_id]) return { outcome: "user_not_found", user_id };
  if (membersOf(model, group).includes(user_id)) return { outcome: "already_member", user_id };
  model.groups[group] = [...membersOf(model, group), user_id];
  return { outcome: "added", user_id };
}

export function removeFrom(model: Model, group: string, user_id: number): Row {
  const isMember = membersOf(model, group).includes(user_id);
  model.groups[group] = membersOf(model, group).filter((member) => member !== user_id);
  return { outcome: isMember ? "removed" : "not_member", user_id };
}
