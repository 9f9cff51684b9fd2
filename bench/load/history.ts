/** Earlier days: users and their grants by the million, as if the service had run for long. */
import type { Sql } from "../../db/connect.ts";
import { withProgress } from "../../server/commands/progress.ts";
import type { Say } from "../report/result.ts";

/** Rows in a statement: one takes about a second. */
const CHUNK = 200_000;
/** A prime, so that its multiples meet every user once. */
const STRIDE = 6_180_341;

/**
 * Adds users 1 to `users`, and a coupon of each earlier day with so many grants, all of them gone: `days[0]` is yesterday's. Grants go to
 * users in turn, spread over all of them. This bypasses the guards, and drops indexes and keys; those are made again afterwards and
 * check every row. `session` is one connection as coupon_owner.
 */
export async function addHistory(
  session: Sql,
  users: number,
  days: readonly number[],
  say: Say,
): Promise<void> {
  await session`set maintenance_work_mem = '1GB'`;
  await session`set synchronous_commit = off`;
  await forTables(session, "disable trigger user");
  await withProgress("users", say, async (report) => {
    for (let first = 1; first <= users; first += CHUNK) {
      const last = Math.min(users, first + CHUNK - 1);
      await session`
        insert into coupon.users (id, display_name)
        select n, 'User ' || n from generate_series(${first}::bigint, ${last}::bigint) n`;
      if (users > CHUNK) report(last, users);
    }
  });
  if (days.length > 0) await addGrants(session, users, days, say);
  await forTables(session, "enable trigger user");
  await fold(session);
  await session`vacuum (analyze) coupon.users, coupon.coupons, coupon.user_coupons, coupon.past_grants`;
  await session`reset synchronous_commit`;
}

async function addGrants(session: Sql, users: number, days: readonly number[], say: Say): Promise<void> {
  const coupons = await session`
    insert into coupon.coupons (code, message, description, start_time, expiry, time_zone, live_on, slot, count, issued, sold_out_at)
    select
      'earlier-' || d.day, 'bench', '', now() - make_interval(days => d.day::integer),
      now() - make_interval(days => d.day::integer) + interval '23 hours', s.time_zone,
      (now() at time zone s.time_zone)::date - d.day::integer, 1, d.count, d.count,
      now() - make_interval(days => d.day::integer)
    from unnest(${days.map(String)}::integer[]) with ordinality d (count, day)
    cross join coupon.settings s
    order by d.day
    returning id::integer, count
  `;
  await session`insert into coupon.leases (coupon_id) select c.id from coupon.coupons c on conflict do nothing`;
  const restore = await dropKeys(session);
  const all = days.reduce((sum, count) => sum + count, 0);
  let granted = 0;
  await withProgress("earlier grants", say, async (report) => {
    for (const { id, count } of coupons)
      for (let done = 0; done < count; done += CHUNK) {
        const made = Math.min(CHUNK, count - done);
        await session`
          insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
          select
            ((${granted}::bigint + n) * ${STRIDE}::bigint) % ${users}::bigint + 1, c.id, c.start_time, c.expiry, c.live_on,
            ${done}::integer + n
          from generate_series(1, ${made}::integer) n
          cross join coupon.coupons c
          where c.id = ${id}
        `;
        granted += made;
        if (granted % CHUNK < made) report(granted, all);
      }
  });
  for (const statement of restore) {
    say(statement.replace(/\s+/g, " ").slice(0, 110));
    await session.unsafe(statement);
  }
}

/** As each server does every minute. */
async function fold(session: Sql): Promise<void> {
  const step = () => session`select 1 where public.fold_grants(at_most => 100000) > 0`;
  while ((await step()).length > 0);
}

/** Takes indexes and keys from user_coupons, and answers the statements that bring them back. */
async function dropKeys(session: Sql): Promise<string[]> {
  const found = await session`
    select kind, on_table, name, definition
    from (
      select
        contype::text as kind, conrelid::regclass::text as on_table, quote_ident(conname) as name,
        pg_get_constraintdef(oid) as definition
      from pg_constraint
      where conrelid = 'coupon.user_coupons'::regclass and contype in ('p', 'u')
      union all
      select 'i', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
      from pg_index
      where indrelid = 'coupon.user_coupons'::regclass
        and not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
    ) k
    order by kind, name
  `;
  const text = (row: Record<string, string>, verb: "drop" | "make") => {
    const { kind, on_table, name, definition } = row as Record<string, string>;
    if (kind === "i") return verb === "drop" ? `drop index ${name}` : (definition as string);
    return `alter table ${on_table} ${verb === "drop" ? `drop constraint ${name}` : `add constraint ${name} ${definition}`}`;
  };
  const rows = [...found] as Record<string, string>[];
  for (const row of rows) await session.unsafe(text(row, "drop"));
  return rows.map((row) => text(row, "make")).reverse();
}

async function forTables(session: Sql, action: string): Promise<void> {
  const tables = await session`
    select c.oid::regclass::text as name
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'coupon' and c.relkind in ('r', 'p')
  `;
  for (const table of tables) await session.unsafe(`alter table ${table["name"]} ${action}`);
}
