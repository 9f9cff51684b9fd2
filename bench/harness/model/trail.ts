/** What audit_trail() must tell of the model: each command that changed something, what it was before, and why. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Sql } from "../../../db/connect.ts";
import { type Command, OPENING, type Row } from "./commands.ts";
import { answer } from "./model.ts";
import {
  type Coupon,
  emptyModel,
  heldBy,
  isByHand,
  type Model,
  type PlanEntry,
  type Webhook,
} from "./state.ts";

type Values = Record<string, unknown> | null;

/** A row of the audit. */
interface Entry extends Row {
  command: string;
  coupon_id: number | null;
  user_id: number | null;
  used_date: unknown;
  issued: number | null;
  old_values: Values;
  new_values: Values;
  reason: string | null;
  actor: string | null;
}
type Given = Partial<Entry> & Pick<Entry, "command">;

/** Which rows: of a coupon, of a user, and of those only what is among so many newest rows of all. */
export interface Filter {
  coupon: number | null;
  user: number | null;
  newest: number | null;
}

interface Trail {
  note(before: Model, after: Model, command: Command, rows: Row[]): void;
  /** The newest first. */
  read(filter?: Filter): Row[];
}

export const ALL: Filter = { coupon: null, user: null, newest: null };
const FORGOTTEN = "(forgotten)";

/** Of a service that was opened. */
export function createTrail(): Trail {
  const entries: Entry[] = [];
  const none = { coupon_id: null, user_id: null, used_date: null, issued: null };
  const add = (given: Given) =>
    entries.push({ ...none, old_values: null, new_values: null, reason: null, actor: null, ...given });

  /** Words go from all reasons, and all words from what is told of the uses. */
  function forget(before: Model, user_id: number): void {
    add({ command: "forget_user", user_id });
    const subjects = before.subjects.filter((each) => each.user_id === user_id);
    const words = [before.names[user_id] ?? "", ...subjects.map(({ subject }) => subject)];
    for (const word of words.toSorted((a, b) => b.length - a.length))
      for (const entry of entries)
        entry.reason = entry.reason?.replaceAll(new RegExp(`\\b${word}\\b`, "gi"), FORGOTTEN) ?? null;
    const taken = (values: Values) =>
      values && "use_reference" in values ? { ...values, use_reference: FORGOTTEN } : values;
    for (const entry of entries)
      if (entry.user_id === user_id && entry.command !== "forget_user") {
        Object.assign(entry, { old_values: taken(entry.old_values), new_values: taken(entry.new_values) });
        if (entry.reason !== null) entry.reason = FORGOTTEN;
      }
  }

  function note(before: Model, after: Model, command: Command, rows: Row[]): void {
    if (isByHand(command)) return;
    const gone = Object.keys(after.names).find((id) => after.names[+id] === null && before.names[+id]);
    if (gone) forget(before, Number(gone));
    else
      for (const given of [
        ...ofCoupons(before, after, command),
        ...ofUses(before, after, command),
        ...ofOthers(before, after, command, rows),
      ])
        add(given);
  }

  const model = emptyModel();
  for (const command of OPENING) {
    const before = structuredClone(model);
    note(before, model, command, answer(model, command, []));
  }
  return {
    note,
    read({ coupon, user, newest } = ALL) {
      return entries
        .toReversed()
        .slice(0, newest ?? entries.length)
        .filter(
          ({ coupon_id, user_id }) => (coupon ?? coupon_id) === coupon_id && (user ?? user_id) === user_id,
        )
        .map((entry) => ({ ...entry }));
    },
  };
}

const terms = ({ code, message, description, start, expiry, count, metadata }: Coupon) => {
  return { code, message, description, start_time: start, expiry, count, metadata };
};
const early = ({ group, from }: Coupon) => ({ eligible_group: group, eligible_from: from });

/** What a command of one coupon changes. */
const MEMBERS: Readonly<Record<string, (c: Coupon) => Record<string, unknown>>> = {
  edit_coupon: ({ code, message, description, metadata }) => ({ code, message, description, metadata }),
  set_coupon_start: ({ start }) => ({ start_time: start }),
  set_coupon_expiry: ({ expiry }) => ({ expiry }),
  set_coupon_count: ({ count }) => ({ count }),
  pause_coupon: ({ paused }) => ({ paused }),
  resume_coupon: ({ paused }) => ({ paused }),
  set_coupon_group: early,
};

function ofCoupons(before: Model, after: Model, command: Command): Given[] {
  const reason = "reason" in command ? (command.reason ?? null) : null;
  const find = ({ coupons }: Model, id: number) => coupons.find(({ coupon_id }) => coupon_id === id);
  const gone = before.coupons
    .filter(({ coupon_id }) => !find(after, coupon_id))
    .map((c): Given => {
      const had = { ...terms(c), ...(c.group === null ? {} : early(c)) };
      const { coupon_id } = c;
      return after.retired.some(({ coupon }) => coupon.coupon_id === coupon_id)
        ? { command: "retire_coupons", coupon_id, old_values: { ...had, issued: c.issued } }
        : { command: "withdraw_coupon", coupon_id, old_values: had };
    });
  const there = after.coupons
    .toSorted((a, b) => a.coupon_id - b.coupon_id)
    .flatMap((c): Given[] => {
      const { coupon_id } = c;
      const was = find(before, coupon_id);
      if (!was) return [{ command: "create_coupon", coupon_id, issued: 0, new_values: terms(c), reason }];
      const members = MEMBERS[command.call];
      if (!members) return [];
      const [olds, news] = [members(was), members(c)];
      const changed = Object.keys(olds).filter((name) => !isDeepStrictEqual(olds[name], news[name]));
      if (changed.length === 0) return [];
      const names = command.call === "set_coupon_group" ? Object.keys(olds) : changed;
      const only = (values: Record<string, unknown>) =>
        Object.fromEntries(names.map((name) => [name, values[name]]));
      const { issued } = c;
      return [
        { command: command.call, coupon_id, issued, old_values: only(olds), new_values: only(news), reason },
      ];
    });
  return [...gone, ...there];
}

function ofUses(before: Model, after: Model, command: Command): Given[] {
  const actor = "till" in command ? command.till : null;
  return after.grants.flatMap((grant): Given[] => {
    const { user: user_id, coupon: coupon_id } = grant;
    const was = heldBy(before, user_id, coupon_id);
    const [used, is] = [was?.use_reference ?? null, grant.use_reference];
    if ((used === null) === (is === null)) return [];
    const whose = { coupon_id, user_id, actor };
    return is === null
      ? [
          {
            ...{ command: "undo_use", ...whose, used_date: was?.used_date, reason: "mistake" },
            old_values: { use_reference: used },
          },
        ]
      : [{ command: "use_coupon", ...whose, used_date: grant.used_date, new_values: { use_reference: is } }];
  });
}

const planned = ({ weekday, slot, pattern, hour, count, isBrief }: PlanEntry) => {
  const time = `${String(hour).padStart(2, "0")}:00:00`;
  const texts = { code_pattern: pattern, message: "m", description: "d", metadata: {} };
  const end = isBrief
    ? { local_expiry: time.replace(/00$/, "30"), expiry_days: 0 }
    : { local_expiry: time, expiry_days: 1 };
  return { weekday, slot, ...texts, local_start: time, ...end, count };
};
const target = ({ url, types }: Webhook) => ({ url, event_types: types });

/** By what was answered: users, groups, the plan, keys, secrets and webhooks. */
function ofOthers(before: Model, after: Model, command: Command, rows: Row[]): Given[] {
  const { call } = command;
  const number = (outcome: string) => rows.filter((row) => row["outcome"] === outcome).length;
  const told = rows[0]?.["outcome"];
  const did = (is: string, values: Pick<Partial<Entry>, "old_values" | "new_values">): Given[] =>
    told === is ? [{ command: call, ...values }] : [];
  switch (call) {
    case "import_users":
    case "import_incoming_users": {
      const [created, updated] = [number("created"), number("updated")];
      return created + updated > 0 ? [{ command: "import_users", new_values: { created, updated } }] : [];
    }
    case "add_to_group":
    case "remove_from_group": {
      const how = call === "add_to_group" ? "added" : "removed";
      const new_values = { group_name: command.group, [how]: number(how) };
      return number(how) > 0 ? [{ command: call, new_values }] : [];
    }
    case "set_plan_entry":
    case "remove_plan_entry": {
      const unlike = (plan: PlanEntry[], other: PlanEntry[]) =>
        plan.filter((entry) => !other.some((each) => isDeepStrictEqual(each, entry))).map(planned)[0] ?? null;
      const [old_values, new_values] = [unlike(before.plan, after.plan), unlike(after.plan, before.plan)];
      return old_values || new_values ? [{ command: call, old_values, new_values }] : [];
    }
    case "record_key":
      return did("recorded", { new_values: { id: command.key, name: command.name, scope: "use" } });
    case "revoke_key":
      return did("revoked", { new_values: { id: command.key } });
    case "rotate_claim_secret":
      return did("rotated", { new_values: { secret_id: after.secrets.length } });
    case "retire_claim_secret":
      return did("retired", { new_values: { secret_id: command.secret } });
    case "set_webhook":
    case "remove_webhook":
    case "rotate_webhook_secret":
    case "enable_webhook":
    case "disable_webhook":
      return ofWebhook(before, after, command.webhook, did);
    default:
      return [];
  }
}

function ofWebhook(
  before: Model,
  after: Model,
  webhook_name: string,
  did: (outcome: string, values: Pick<Partial<Entry>, "old_values" | "new_values">) => Given[],
): Given[] {
  const find = ({ webhooks }: Model) => webhooks.find(({ name }) => name === webhook_name);
  const [was, is] = [find(before), find(after)];
  const [old_values, new_values] = [was && target(was), { webhook_name, ...(is && target(is)) }];
  return [
    ...did("created", { new_values }),
    ...did("changed", { old_values: old_values ?? null, new_values }),
    ...did("removed", { old_values: { webhook_name, ...old_values } }),
    ...did("rotated", { new_values: { webhook_name, number: is?.secretCount } }),
    ...did("enabled", { new_values: { webhook_name } }),
    ...did("disabled", { new_values: { webhook_name, disabled_reason: "by hand" } }),
  ];
}

/** The audit of the service by this filter, in pages of this size, each of which is full but the last one. */
export async function readTrail(sql: Sql, owner: Sql, filter: Filter, size: number): Promise<Row[]> {
  const [since] = await owner`
    select min(n.at)::text as at
    from (select a.at from coupon.audit a order by a.at desc, a.id desc limit ${filter.newest}) n`;
  const rows: Row[] = [];
  const ids = new Set<unknown>();
  for (let before: unknown = null; ; ) {
    const page: readonly Row[] = await sql`
      select id, command, coupon_id::integer, user_id::float8, used_date::text, issued, old_values, new_values, reason, actor
      from audit_trail(${filter.coupon}, ${filter.user}, ${filter.newest === null ? null : since?.["at"]}::text::timestamptz,
        ${before as string}, ${size}::integer)`;
    for (const { id, old_values, new_values, ...row } of page) {
      assert.ok(!ids.has(id), `${id} is told twice`);
      ids.add(id);
      rows.push({ ...row, old_values: inMs(old_values as Values), new_values: inMs(new_values as Values) });
      before = id;
    }
    if (page.length < size) return rows;
  }
}

/** With its instants as the model has them. */
function inMs(values: Values): Values {
  if (values === null) return null;
  const times = ["start_time", "expiry", "eligible_from"].filter((name) => typeof values[name] === "string");
  return {
    ...values,
    ...Object.fromEntries(times.map((name) => [name, Date.parse(values[name] as string)])),
  };
}
