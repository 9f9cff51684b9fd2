/** ./sd check: compares every row with every rule, and ends with status 1 when one is broken. */
import type { Env } from "../env.ts";
import { asAdmin } from "./database.ts";
import { counted, say } from "./print.ts";

export function check(env: Env): Promise<number> {
  return asAdmin(env, async (sql) => {
    const broken = await sql`select invariant, coupon_id, user_id, detail from reconcile()`;
    const [size] = await sql`
      select (select count(*) from coupon.coupons) as coupons, (select count(*) from coupon.user_coupons) as grants`;
    for (const row of broken)
      say(
        `${row["invariant"]}: coupon ${row["coupon_id"] ?? "-"}, user ${row["user_id"] ?? "-"}: ${row["detail"]}`,
      );
    say(
      `${counted(broken.length, "broken invariant")} in ${counted(size?.["coupons"], "coupon")} and ${counted(size?.["grants"], "grant")}`,
    );
    return broken.length === 0 ? 0 : 1;
  });
}
