/** The tables and the function of for_update.sql, in a schema of their own beside ours. */
import { readFileSync } from "node:fs";
import { type Sql, withConnection } from "../../db/connect.ts";
import type { Scratch } from "../harness/scratch.ts";
import { copyTable } from "../harness/tables.ts";

/** Tables like ours: the same columns, indexes and checks, and foreign keys for what our guard checks; users are shared. */
export async function createTextbook({ setupUrl, owner }: Scratch): Promise<void> {
  await withConnection(setupUrl, (sql) => sql`create schema textbook authorization coupon_owner`);
  await copyTable(owner, "coupon.coupons", "textbook.coupons");
  await copyTable(owner, "coupon.user_coupons", "textbook.user_coupons");
  // What the guard checks of ours, in the way that a table declares it.
  await owner`alter table textbook.user_coupons add foreign key (user_id) references coupon.users (id)`;
  await owner`alter table textbook.user_coupons add foreign key (coupon_id) references textbook.coupons (id)`;
  await owner.unsafe(readFileSync(new URL("./for_update.sql", import.meta.url), "utf8"));
}

/** Nothing but this one coupon of ours, with none issued. */
export async function copyCoupon(owner: Sql, couponId: number): Promise<void> {
  const [columns] = await owner`
    select string_agg(quote_ident(attname), ', ' order by attnum) as names
    from pg_attribute
    where attrelid = 'coupon.coupons'::regclass and attnum > 0 and not attisdropped and attgenerated = ''
  `;
  const names = columns?.["names"];
  await owner.unsafe(`
    truncate textbook.user_coupons, textbook.coupons;
    insert into textbook.coupons (${names}) overriding system value
    select ${names} from coupon.coupons where id = ${couponId}`);
}

export async function textbookGrants(owner: Sql, couponId: number): Promise<Record<string, number>> {
  const [found] = await owner`
    select
      (select count(*)::integer from textbook.user_coupons where coupon_id = ${couponId}) as rows,
      (select coalesce(max(position), 0) from textbook.user_coupons) as last,
      (select issued from textbook.coupons) as issued
  `;
  return { rows: found?.["rows"], "last position": found?.["last"], "coupons.issued": found?.["issued"] };
}
