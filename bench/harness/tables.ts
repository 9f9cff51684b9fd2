/** What the scenarios do to a database besides what they measure: users, coupons, empty tables, tables like ours. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "../../db/connect.ts";
import { withProgress } from "../../server/commands/progress.ts";
import { makeCoupon } from "./coupons.ts";
import type { Scratch } from "./scratch.ts";

/** Makes users `first` to `last`. A terminal shows the progress. */
export function addUsers({ admin }: Pick<Scratch, "admin">, first: number, last: number): Promise<void> {
  return withProgress(
    "users",
    () => {},
    async (report) => {
      for (let from = first; from <= last; from += 100_000) {
        const to = Math.min(last, from + 99_999);
        await admin`
          select count(*) from import_users(
            array(select n from generate_series(${from}::bigint, ${to}::bigint) n),
            array(select 'User ' || n from generate_series(${from}::bigint, ${to}::bigint) n))
        `;
        report(to, last);
      }
    },
  );
}

/** A coupon that starts in so many seconds and lasts for two days from now. */
export function createCoupon(sql: Sql, code: string, startsIn: number, count: number): Promise<number> {
  return makeCoupon(sql, { code, count, from: `${startsIn} seconds`, until: "2 days" });
}

/** Removes all coupons and grants, and keeps users, settings and secrets. Bypasses the guards, as coupon_owner. */
export async function emptyTables(owner: Sql): Promise<void> {
  const tables = (
    await owner`
      select format('%I.%I', n.nspname, c.relname) as name
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'coupon' and c.relkind in ('r', 'p')
        and c.relname not in ('users', 'settings', 'folded', 'gathered', 'webhook_sender', 'claim_secrets', 'schema_migrations')
      order by c.relname
    `
  ).map((row) => row["name"] as string);
  const [folded] = await owner`select to_regclass('coupon.folded') as name`; // compare: older revisions lack it
  const empty = () =>
    owner.begin(async (sql) => {
      for (const table of tables) await sql.unsafe(`alter table ${table} disable trigger user`);
      await sql.unsafe(`truncate ${tables.join(", ")} cascade`);
      if (folded?.["name"]) await sql`update coupon.folded set issued_on = default, user_id = default`;
      for (const table of tables) await sql.unsafe(`alter table ${table} enable trigger user`);
    });
  // A server's last call may still be under way, and takes its locks in another order.
  while (await empty().then(() => false, isDeadlock));
}

function isDeadlock(error: { code?: string }): true {
  if (error.code !== "40P01") throw error;
  return true;
}

/** The number of grants of a coupon, the last position, and the coupon's own counter. */
export async function grantsOf(
  sql: Sql,
  couponId: number,
): Promise<{ rows: number; last: number; issued: number }> {
  const [found] = await sql`
    select
      (select count(*)::integer from coupon.user_coupons where coupon_id = ${couponId}) as rows,
      (select coalesce(max(position), 0) from coupon.user_coupons where coupon_id = ${couponId}) as last,
      (select issued from coupon.coupons where id = ${couponId}) as issued
  `;
  return { rows: found?.["rows"], last: found?.["last"], issued: found?.["issued"] };
}

/** What `look` finds, as soon as it finds the same twice: what was under way when the generator ended is then done. */
export async function settled<T>(look: () => Promise<T>): Promise<T> {
  for (let found = await look(); ; ) {
    await sleep(100);
    const again = await look();
    if (JSON.stringify(again) === JSON.stringify(found)) return found;
    found = again;
  }
}

/** Makes `copy` a table like `original`: columns, defaults, indexes, checks and foreign keys; no triggers. */
export async function copyTable(owner: Sql, original: string, copy: string): Promise<void> {
  const [table] = await owner`
    select array_to_string(reloptions, ', ') as options from pg_class where oid = ${original}::regclass`;
  const options = table?.["options"] ? ` with (${table["options"]})` : "";
  await owner.unsafe(`create table ${copy} (like ${original} including all)${options}`);
  const keys = await owner`
    select pg_get_constraintdef(oid) as definition
    from pg_constraint
    where conrelid = ${original}::regclass and contype = 'f' and conparentid = 0
  `;
  for (const key of keys) await owner.unsafe(`alter table ${copy} add ${key["definition"]}`);
}
