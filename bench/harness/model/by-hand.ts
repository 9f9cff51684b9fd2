/** What time does, done by hand: the clock of the service can't be set. */
import type { Sql } from "../../../db/connect.ts";
import { DAY, LONG_AGO, longAgo, NOW, type Row } from "./commands.ts";

/** The clock can't be set, so all that was issued becomes a day older, past the guards. */
export async function pastMidnight(owner: Sql): Promise<readonly Row[]> {
  await owner.begin((sql) =>
    sql
      .unsafe(`
        alter table coupon.user_coupons disable trigger user;
        update coupon.user_coupons set issued_on = issued_on + 100000;
        update coupon.user_coupons set issued_on = issued_on - 100001, issued_at = issued_at - interval '1 day';
        alter table coupon.user_coupons enable trigger user;
        ${UNFOLD}`)
      .simple(),
  );
  return [];
}

/** What was copied for wallet() knows days that are others now. */
const UNFOLD = `
  update coupon.folded set issued_on = default, user_id = default;
  delete from coupon.past_grants`;

/** Makes a coupon and its grants old, past the guards, unless it began too lately, is old already or was used. */
export async function longPast(owner: Sql, coupon: number): Promise<readonly Row[]> {
  const old = `timestamptz '${new Date(longAgo(coupon)).toISOString()}'`;
  await owner.begin((sql) =>
    sql
      .unsafe(`
        alter table coupon.user_coupons disable trigger user;
        create temporary table old on commit drop as
          select c.id from coupon.coupons c
          where c.id = ${coupon} and c.start_time <= timestamptz '${new Date(NOW - 99 * DAY).toISOString()}' and c.expiry > ${old}
            and not exists (select from coupon.user_coupons g where g.coupon_id = c.id and g.is_used);
        update coupon.user_coupons g
          set issued_on = g.issued_on - ${LONG_AGO}, issued_at = g.issued_at - interval '${LONG_AGO} days'
          from old where g.coupon_id = old.id;
        update coupon.coupons c set expiry = ${old} from old where c.id = old.id;
        alter table coupon.user_coupons enable trigger user;
        ${UNFOLD}`)
      .simple(),
  );
  return [];
}
