/** Earlier days: users and their grants by the million, as if the service had run for long. */
import type { Sql } from "../../db/connect.ts";
import { withProgress } from "../../server/commands/progress.ts";
import type { Say } from "../report/result.ts";

/** Grants of one earlier day's coupon. */
const A_DAY = 100_000;
/** Rows in a statement: one takes about a second. */
const CHUNK = 200_000;
/** Odd and no multiple of 5, so that its multiples meet every user of a power of ten once. */
const STRIDE = 6_180_339;

/**
 * Adds users 1 to `users`, and `grants` of earlier days, at most one a user and spread over all of them. Past the guards and
 * without indexes and foreign keys, which are made anew afterwards and so check every row. `session` is one connection as
 * coupon_owner.
 */
export async function addHistory(session: Sql, users: number, grants: number, say: Say): Promise<void> {
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
  if (grants > 0) await addGrants(session, users, grants, say);
  await forTables(session, "enable trigger user");
  await session`vacuum (analyze) coupon.users, coupon.coupons, coupon.user_coupons`;
  await session`reset synchronous_commit`;
}

async function addGrants(session: Sql, users: number, grants: number, say: Say): Promise<void> {
  const days = Math.ceil(grants / A_DAY);
  const made = await session`
    insert into coupon.coupons (code, message, description, start_time, expiry, time_zone, slot, count, issued)
    select
      'earlier-' || day, 'bench', '', now() - make_interval(days => day), now() + interval '30 days', s.time_zone, 1,
      least(${A_DAY}::bigint, ${grants} - (day - 1) * ${A_DAY}::bigint), least(${A_DAY}::bigint, ${grants} - (day - 1) * ${A_DAY}::bigint)
    from generate_series(1, ${days}::integer) day
    cross join coupon.settings s
    order by day
    returning id::integer
  `;
  const firstId = Math.min(...made.map((row) => row["id"] as number));
  const restore = await dropKeys(session);
  await withProgress("earlier grants", say, async (report) => {
    for (let first = 0; first < grants; first += CHUNK) {
      const last = Math.min(grants, first + CHUNK) - 1;
      await session`
        insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
        select
          (n * ${STRIDE}::bigint) % ${users}::bigint + 1, c.id, c.start_time, c.expiry, c.live_on,
          n % ${A_DAY}::bigint + 1
        from generate_series(${first}::bigint, ${last}::bigint) n
        join coupon.coupons c on c.id = ${firstId}::bigint + n / ${A_DAY}::bigint
      `;
      report(last + 1, grants);
    }
  });
  for (const statement of restore) {
    say(statement.replace(/\s+/g, " ").slice(0, 110));
    await session.unsafe(statement);
  }
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
      where (conrelid = 'coupon.user_coupons'::regclass and contype in ('p', 'u', 'f'))
        or (confrelid = 'coupon.user_coupons'::regclass and contype = 'f')
      union all
      select 'i', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
      from pg_index
      where indrelid = 'coupon.user_coupons'::regclass
        and not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
    ) k
    -- What others depend on is dropped last, and made first.
    order by kind = 'f' desc, kind = 'i' desc, name
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
