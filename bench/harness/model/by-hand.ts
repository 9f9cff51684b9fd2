/** What time does, done by hand: the clock of the service can't be set. */
import type { Sql } from "../../../db/connect.ts";
import { AGED, DAY, LONG_AGO, longAgo, NOW, type Row } from "./commands.ts";

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

/** What was counted in this run becomes old: of each coupon in one second, the next one of a quarter of an hour of then. */
export async function ageDemand(owner: Sql): Promise<readonly Row[]> {
  const quarter = `timestamptz '${new Date(Math.floor((NOW - AGED * DAY) / 900_000) * 900_000).toISOString()}'`;
  await owner.unsafe(`
    with gone as (
      delete from coupon.demand d where d.second > now() - interval '1 day' returning d.*
    )
    insert into coupon.demand (coupon_id, second, refused, replayed)
    select g.coupon_id, l.second + interval '1 second', sum(g.refused), sum(g.replayed)
    from gone g
    cross join (
      select coalesce(max(d.second), ${quarter}) as second from coupon.demand d where d.second < now() - interval '1 day'
    ) l
    group by g.coupon_id, l.second`);
  return [];
}
