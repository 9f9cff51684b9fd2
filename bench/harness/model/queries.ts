/** How the service is asked by groups of functions. What only servers call, coupon_owner calls here. */
import type { Sql } from "../../../db/connect.ts";
import { ageDemand, longPast } from "./by-hand.ts";
import { dayAgo, type Row } from "./commands.ts";
import type { OfDemand } from "./demand.ts";
import type { OfGroups } from "./groups.ts";
import type { OfIdentities } from "./identities.ts";
import type { OfPast } from "./past.ts";
import type { OfPlan } from "./plan.ts";
import type { OfSecrets } from "./secrets.ts";
import type { Of } from "./state.ts";
import type { OfWebhooks } from "./webhooks.ts";

export function queryIdentities(sql: Sql, owner: Sql, command: OfIdentities): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "resolve_subjects":
      return sql`
        select outcome, user_id::float8
        from resolve_subjects(${command.issuer}, ${command.subjects}::text[], creating => ${command.creating})`;
    case "find_subjects":
      return sql`select subject, issuer, user_id::float8 from find_subjects(subject => ${command.subject})`;
    case "forget_subject":
      return userOf(owner, command).then(
        (user) => sql`select outcome from forget_user(${user}::text::bigint)`,
      );
    case "record_key":
      return sql`
        select outcome from record_key(${command.key}, ${command.name}, 'use', now() + interval '1 day')`;
    case "revoke_key":
      return sql`select outcome, name from revoke_key(${command.key})`;
    case "list_keys":
      return sql`select id, name, revoked_at is not null as revoked from list_keys()`;
    case "revoked_keys":
      return owner`select key_id from revoked_keys() order by key_id collate "C"`;
    case "forget_subjects":
      return sql`select forget_subjects() as count`;
    case "subjects_age":
      return owner`update coupon.forgotten_subjects set forgotten_at = forgotten_at - interval '2 days'`;
  }
}

export function queryPast(sql: Sql, owner: Sql, command: OfPast): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "list_plan":
      return sql`
        select weekday, slot, code_pattern, extract(hour from local_start)::integer as hour, count from list_plan()`;
    case "list_users":
      return sql`select user_id::float8, display_name from list_users(${command.after}, ${command.page})`;
    case "list_grants":
      return sql`
        select "position", user_id::integer, issued_on::text, use_reference
        from list_grants(${command.coupon}, ${command.after}, ${command.page})`;
    case "daily_summary":
      return sql`
        select day::text, coupons, count::integer, asked::integer, issued::integer, used::integer
        from daily_summary(
          ${dayAgo(command.ago + command.days - 1)}::text::date, ${dayAgo(command.ago)}::text::date)`;
    case "retire_coupons":
      return retire(sql, owner, command);
    case "fold_grants":
      return owner`select from fold_grants()`.then(() => []);
    case "long_ago":
      return longPast(owner, command.coupon);
  }
}

/** Busy: while another session is at it. */
async function retire(sql: Sql, owner: Sql, command: Of<"retire_coupons">): Promise<readonly Row[]> {
  const step = () => sql`
    select outcome, coupon_id::integer, code, grants, grants_left, coupons_left::integer
    from retire_coupons(${dayAgo(command.ago)}::text::date, ${command.most})`;
  if (!command.isBusy) return step();
  return (await owner.begin(async (other) => {
    await other`select from coupon.folded for no key update`;
    return [...(await step())];
  })) as readonly Row[];
}

export async function importLines(
  sql: Sql,
  { users, name }: Of<"import_incoming_users">,
): Promise<readonly Row[]> {
  return (await sql.begin(async (session) => {
    for (const user of users)
      await session`insert into coupon.incoming_users (user_id, display_name) values (${String(user)}, ${name})`;
    return [...(await session`select outcome, line::integer, user_id::float8 from import_incoming_users()`)];
  })) as readonly Row[];
}

/** Secrets that are retired lose their keys; codes that were made of them are still shown to tills. */
export const REMEMBERED = "create table coupon.remembered_secrets (id integer primary key, key bytea)";

export function querySecrets(sql: Sql, owner: Sql, command: OfSecrets): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "claim_secrets":
      return sql`select secret_id, retired_at is not null as retired from claim_secrets()`;
    case "rotate_claim_secret":
      return sql`select outcome, secret_id from rotate_claim_secret()`;
    case "retire_claim_secret":
      return owner`
        insert into coupon.remembered_secrets as r
        select s.id, s.key from coupon.claim_secrets s where s.key is not null
        on conflict on constraint remembered_secrets_pkey do update set key = excluded.key`.then(
        () => sql`select outcome from retire_claim_secret(${command.secret})`,
      );
  }
}

/** The code of what the user holds, made of this secret or of the newest; else one that is none. */
export function codeOf(
  owner: Sql,
  { user, coupon, secret }: { user: number; coupon: number; secret?: number },
): PromiseLike<string> {
  return owner`
    select coalesce((
      select coupon.claim_code(s.id, coalesce(s.key, r.key), g.coupon_id, g.position)
      from coupon.claim_secrets s
      left join coupon.remembered_secrets r on r.id = s.id
      cross join coupon.user_coupons g
      where s.id = coalesce(${secret ?? null}::integer, (select max(n.id) from coupon.claim_secrets n))
        and g.user_id = ${user} and g.coupon_id = ${coupon}), 'none') as code`.then(([row]) => row?.["code"]);
}

/** With the number of the secret in place of each code that it made. */
export async function withSecrets(owner: Sql, rows: readonly Row[]): Promise<readonly Row[]> {
  const made = rows.map(async ({ claim_code, ...row }) => {
    const [secret] =
      claim_code === null
        ? [{ id: null }]
        : await owner`
            select s.id from coupon.claim_secrets s
            where coupon.claim_code(s.id, s.key, ${row["coupon_id"] as number}, ${row["position"] as number})
              = ${claim_code as string}`;
    return { ...row, secret: secret ? secret["id"] : "none" };
  });
  return Promise.all(made);
}

export function queryWebhooks(sql: Sql, owner: Sql, command: OfWebhooks): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "set_webhook":
      return sql`
        select outcome, secret
        from set_webhook(${command.webhook}, ${command.url}, ${command.types}::text[]::event_type[])`;
    case "remove_webhook":
      return sql`select outcome from remove_webhook(${command.webhook})`;
    case "rotate_webhook_secret":
      return sql`select outcome, secret from rotate_webhook_secret(${command.webhook})`;
    case "enable_webhook":
      return sql`select outcome from enable_webhook(${command.webhook})`;
    case "disable_webhook":
      return sql`select outcome from disable_webhook(${command.webhook})`;
    case "webhook_target":
      return owner`select url, secrets from webhook_target(${command.webhook})`;
    case "list_webhooks":
      return sql`
        select webhook_name, url, event_types::text[] as types, second_secret_until is not null as has_second,
          disabled_reason, waiting, dead
        from list_webhooks()`;
  }
}

export function queryDemand(sql: Sql, owner: Sql, command: OfDemand): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "count_demand": {
      const { sender, number, asked } = command;
      return owner`
        select left_of_it > interval '0' and left_of_it <= interval '1 second' as lasts_a_second
        from count_demand(
          ${`00000000-0000-4000-8000-00000000000${sender}`}, ${number}, interval '0',
          ${asked.map(({ coupon }) => coupon)}::bigint[], ${asked.map(({ refused }) => refused)}::integer[],
          ${asked.map(({ replayed }) => replayed)}::integer[]) left_of_it`;
    }
    case "fold_demand":
      return sql`select fold_demand(${command.most}) as count`;
    case "demand_ages":
      return ageDemand(owner);
  }
}

/** Whose subject it is or was; else a user that nobody is. */
function userOf(owner: Sql, { issuer, subject }: { issuer: string; subject: string }): PromiseLike<string> {
  return owner`
    select coalesce(
      (select s.user_id from coupon.subjects s where (s.subject, s.issuer) = (${subject}, ${issuer})),
      (select f.user_id from coupon.forgotten_subjects f where f.digest = coupon.digest_subject(${issuer}, ${subject})),
      0)::text as id`.then(([row]) => row?.["id"]);
}

export function queryGroups(sql: Sql, command: OfGroups): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "set_coupon_group":
      return sql`
        select outcome, warning
        from set_coupon_group(
          ${command.coupon}, ${command.group}, to_timestamp(${command.from}::float8 / 1000.0))`;
    case "add_to_group":
      return sql`
        select outcome, user_id::integer from add_to_group(${command.group}, ${command.users}::bigint[])`;
    case "remove_from_group":
      return sql`
        select outcome, user_id::integer from remove_from_group(${command.group}, ${command.users}::bigint[])`;
    case "list_group":
      return sql`select user_id::integer, display_name from list_group(${command.group})`;
    case "list_groups":
      return sql`
        select group_name, member_count::integer, coupon_count::integer
        from list_groups(${command.after}, ${command.page})`;
  }
}

export function queryPlan(sql: Sql, command: OfPlan): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "set_plan_entry":
      return sql`
        select outcome, taken_by_slot, warning
        from set_plan_entry(${weekday(sql, command.ahead)}, ${command.slot}, ${command.pattern}, 'm', 'd', make_time(${command.hour}, 0, 0),
          make_time(${command.hour}, 0, ${command.isBrief ? 30 : 0}), ${command.count}, ${command.isBrief ? 0 : 1})`;
    case "remove_plan_entry":
      return sql`select outcome from remove_plan_entry(${weekday(sql, command.ahead)}, ${command.slot})`;
    case "fill_days":
      return sql`select ${plannedCoupon(sql)} from fill_days(${dayAgo(-command.ahead)}::text::date)`;
    case "preview_days":
      return sql`select ${plannedCoupon(sql)} from preview_days(null, ${dayAgo(-command.ahead)}::text::date)`;
    case "copy_day":
      return sql`
        select ${plannedCoupon(sql)}
        from copy_day(${dayAgo(-command.from)}::text::date, ${dayAgo(-command.to)}::text::date)`;
  }
}

function weekday(sql: Sql, ahead: number) {
  return sql`extract(isodow from ${dayAgo(-ahead)}::text::date)::integer`;
}

function plannedCoupon(sql: Sql) {
  return sql`
    outcome, day::text, slot, code, message, description, metadata, (extract(epoch from start_time) * 1000)::float8 as start,
    (extract(epoch from expiry) * 1000)::float8 as expiry, count, coupon_id::integer, taken_by::integer, warning`;
}
