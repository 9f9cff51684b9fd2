/** The service that is compared with the model: a database, and sessions that carry commands out. */
import assert from "node:assert/strict";
import { connect, type Sql } from "../../../db/connect.ts";
import { declareZone } from "../noon.ts";
import { type Scratch, scratchDatabase } from "../scratch.ts";
import { pastMidnight } from "./by-hand.ts";
import { BUCKET, type Command, EARLY, LAST_NIGHT, NOON, OPENING, type Row } from "./commands.ts";
import { isOfDemand } from "./demand.ts";
import { isOfGroups } from "./groups.ts";
import { isOfIdentities } from "./identities.ts";
import { answer } from "./model.ts";
import { isOfPast } from "./past.ts";
import { isOfPlan } from "./plan.ts";
import {
  codeOf,
  importLines,
  queryDemand,
  queryGroups,
  queryIdentities,
  queryPast,
  queryPlan,
  querySecrets,
  queryWebhooks,
  REMEMBERED,
  withSecrets,
} from "./queries.ts";
import { isOfSecrets } from "./secrets.ts";
import { emptyModel, type Model } from "./state.ts";
import { isOfWebhooks } from "./webhooks.ts";

/** Carries a command out; an error becomes the answer under its constraint or SQLSTATE, which no model gives. */
export async function ask(sql: Sql, owner: Sql, command: Command): Promise<Row[]> {
  try {
    return [...(await query(sql, owner, command))].map((row) => ({ ...row }));
  } catch (error) {
    const { code, constraint_name, message } = error as {
      code?: string;
      constraint_name?: string;
      message: string;
    };
    if (!code) throw error;
    return [{ error: constraint_name ?? code, message }];
  }
}

/** Whichever it is, or one of long ago. */
const useMeant = ({ isLate }: { isLate?: boolean }) => (isLate ? "1970-01-01Z" : null);

function query(sql: Sql, owner: Sql, command: Command): PromiseLike<readonly Row[]> {
  if (isOfIdentities(command)) return queryIdentities(sql, owner, command);
  if (isOfGroups(command)) return queryGroups(sql, command);
  if (isOfPlan(command)) return queryPlan(sql, command);
  if (isOfPast(command)) return queryPast(sql, owner, command);
  if (isOfSecrets(command)) return querySecrets(sql, owner, command);
  if (isOfWebhooks(command)) return queryWebhooks(sql, owner, command);
  if (isOfDemand(command)) return queryDemand(sql, owner, command);
  switch (command.call) {
    case "create_coupon":
      return sql`
        select outcome, coupon_id::integer, live_on::text, slot, warning
        from create_coupon(${command.code}, ${command.message}, 'd', to_timestamp(${command.start} / 1000.0),
          to_timestamp(${command.expiry} / 1000.0), ${command.count}, reason => ${command.reason ?? null})`;
    case "issue_coupon":
      return sql`
        select outcome, position, issued_on::text, ${timeOfDay(sql)}
        from issue_coupon(${command.user}, ${command.coupon})`;
    case "issue_coupons":
      return sql`
        select outcome, position, issued_on::text, ${timeOfDay(sql)}
        from issue_coupons(${command.coupon}, ${command.users}::bigint[])`;
    case "use_coupon":
      return sql`
        select outcome, used_date::text, use_reference
        from use_coupon(${command.user}, ${command.coupon}, ${command.reference})`;
    case "undo_use":
      return sql`
        select outcome, used_date::text, use_reference
        from undo_use(${command.user}, ${command.coupon}, 'mistake', ${command.till}::text, ${command.till !== null},
          ${useMeant(command)}::text::timestamptz)`;
    case "use_claim":
      return codeOf(owner, command).then(
        (code) => sql`
          select outcome, used_date::text, use_reference, coupon_id::integer, position, user_id::integer, display_name
          from use_claim(${code}, ${command.reference}, ${command.till})`,
      );
    case "undo_claim":
      return codeOf(owner, command).then(
        (code) => sql`
          select outcome, used_date::text, use_reference, coupon_id::integer, position, user_id::integer, display_name
          from undo_claim(${code}, 'mistake', ${command.till}::text, ${command.till !== null},
            ${useMeant(command)}::text::timestamptz)`,
      );
    case "pause_coupon":
      return sql`select outcome from pause_coupon(${command.coupon}, ${command.reason})`;
    case "resume_coupon":
      return sql`select outcome from resume_coupon(${command.coupon}, ${command.reason})`;
    case "set_coupon_count":
      return sql`select outcome, issued, remaining from set_coupon_count(${command.coupon}, ${command.count})`;
    case "set_coupon_expiry":
      return sql`
        select outcome, warning from set_coupon_expiry(${command.coupon}, to_timestamp(${command.expiry} / 1000.0))`;
    case "set_coupon_start":
      return sql`
        select outcome, live_on::text, slot, taken_by::integer, warning
        from set_coupon_start(${command.coupon}, to_timestamp(${command.start} / 1000.0))`;
    case "edit_coupon":
      return sql`
        select outcome, taken_by::integer
        from edit_coupon(${command.coupon}, ${command.code}, ${command.message}, ${command.description},
          ${command.metadata === null ? null : sql.json(command.metadata)})`;
    case "withdraw_coupon":
      return sql`select outcome, issued from withdraw_coupon(${command.coupon})`;
    case "wallet":
      return sql`
        select state, coupon_id::integer, position, issued_on::text, use_reference, claim_code
        from wallet(${command.user}, page_size => ${command.page})`.then((rows) => withSecrets(owner, rows));
    case "live_coupons":
      return sql`select ${offer(sql)} from live_coupons()`;
    case "upcoming_coupons":
      return sql`select ${offer(sql)} from upcoming_coupons()`;
    case "find_coupon":
      return sql`select ${offer(sql)} from find_coupon(code => ${command.code})`;
    case "list_coupons":
      return sql`
        select state, coupon_id::integer, code, (extract(epoch from start_time) * 1000)::float8 as start, issued,
          eligible_group as group, (extract(epoch from eligible_from) * 1000)::float8 as from
        from list_coupons(${command.state}::coupon_state, to_timestamp(${command.since}::float8 / 1000),
          to_timestamp(${command.before}::float8 / 1000), ${command.prefix}, ${command.page})`;
    case "coupon_timeline":
      return sql`
        select (extract(epoch from begins_at) * 1000)::float8 as start, asked::integer, grants, refused::integer, issued
        from coupon_timeline(${command.coupon}, bucket => ${`${BUCKET} days`})`;
    case "coupon_stats":
      return sql`
        select code, count, issued, remaining, used::integer, asked::integer from coupon_stats(${command.coupon})`;
    case "coupon_status":
      return sql`
        select coupon_id::integer, code, state, paused, count, issued, remaining, starts_in is not null as starts,
          last_issued_at is not null as has_grants
        from coupon_status()`;
    case "import_users":
      return sql`
        select outcome, user_id::integer
        from import_users(${command.users}::bigint[], ${command.users.map(() => command.name)}::text[])`;
    case "import_incoming_users":
      return importLines(sql, command);
    case "forget_user":
      return sql`select outcome from forget_user(${command.user})`;
    case "midnight":
      return pastMidnight(owner);
    case "begin_early":
      return owner`
        update coupon.coupons c set eligible_from = to_timestamp(${EARLY} / 1000.0)
        where c.id = ${command.coupon} and c.eligible_from is not null and c.issued = 0`;
    case "expire":
      return owner`
        update coupon.coupons c set expiry = to_timestamp(${LAST_NIGHT} / 1000.0)
        where c.id = ${command.coupon} and c.start_time < to_timestamp(${LAST_NIGHT} / 1000.0)
          and not exists (
            select from coupon.user_coupons g
            where g.coupon_id = c.id and (g.is_used or g.issued_on = (now() at time zone c.time_zone)::date))`;
  }
}

function offer(sql: Sql) {
  return sql`
    coupon_id::integer, code, message, description, metadata, (extract(epoch from start_time) * 1000)::float8 as start,
    (extract(epoch from expiry) * 1000)::float8 as expiry, count, remaining, paused, starts_in is not null as starts`;
}

/** Stays the same when the grant becomes a day older. */
function timeOfDay(sql: Sql) {
  return sql`(issued_at - issued_on::timestamptz)::text as issued_at`;
}

export interface Service {
  scratch: Scratch;
  sessions: Sql[];
  /** Empties the database and carries the opening out; the model of it. */
  open(more?: Command[]): Promise<Model>;
}

export async function service(t: { after(end: () => Promise<void>): void }): Promise<Service> {
  const scratch = await scratchDatabase();
  const sessions = Array.from({ length: 6 }, () => connect(scratch.adminUrl));
  t.after(async () => {
    await Promise.all(sessions.map((session) => session.end({ timeout: 1 })));
    await scratch.drop();
  });
  const { owner, admin } = scratch;
  await owner.unsafe(REMEMBERED);
  // A zone in which it is noon, so that midnight comes by command only.
  await declareZone(owner, NOON.time_zone);
  for (const { table, trigger } of await owner`
    select tgrelid::regclass::text as table, tgname as trigger
    from pg_trigger where tgtype & 8 <> 0 and not tgisinternal`) // those that refuse delete
    await owner.unsafe(`drop trigger ${trigger} on ${table}`);
  return {
    scratch,
    sessions,
    async open(more = []) {
      await owner.unsafe(`
        delete from coupon.audit;
        delete from coupon.webhooks;
        delete from coupon.claim_secrets;
        insert into coupon.claim_secrets (id) values (1);
        delete from coupon.demand_senders;
        delete from coupon.events;
        delete from coupon.gathered;
        insert into coupon.gathered default values;
        delete from coupon.user_coupons;
        delete from coupon.use_counts;
        delete from coupon.retired_grants;
        delete from coupon.retired_coupons;
        delete from coupon.past_grants;
        update coupon.folded set issued_on = default, user_id = default, swept_to = null;
        delete from coupon.coupons;
        delete from coupon.plan;
        delete from coupon.planned;
        delete from coupon.group_members;
        delete from coupon.subjects;
        delete from coupon.forgotten_subjects;
        delete from coupon.keys;
        delete from coupon.users;
        delete from coupon.forgotten_users;
        alter table coupon.coupons alter column id restart`);
      const model = emptyModel();
      for (const command of [...OPENING, ...more]) {
        const rows = await ask(admin, owner, command);
        assert.deepEqual(rows, answer(model, command, rows), JSON.stringify(command));
      }
      return model;
    },
  };
}

/** Breaks a function of the scratch database on purpose; what it answers mends it. */
export async function plant(
  owner: Sql,
  name: string,
  right: RegExp,
  wrong: string,
): Promise<() => Promise<void>> {
  const [has] =
    await owner`select pg_get_functiondef(p.oid) as text from pg_proc p where p.proname = ${name}`;
  const text: string = has?.["text"];
  assert.match(text, right);
  await owner.unsafe(text.replace(right, wrong));
  return async () => void (await owner.unsafe(text));
}
