/** Users and coupons that tests and scenarios begin with. */
import assert from "node:assert/strict";
import type { Sql } from "../../db/connect.ts";

/** Makes users with these ids. */
export async function makeUsers(sql: Sql, ids: number[]): Promise<void> {
  await sql`select from import_users(${ids}::bigint[], ${ids.map((id) => `User ${id}`)}::text[])`;
}

/**
 * Makes a coupon and returns its id. `from` and `until` are intervals from now by the database clock, such as "-1 day", or
 * instants. It is live from a day ago until tomorrow unless told otherwise. To be over already it needs `owner`, since
 * create_coupon() refuses an expiry in the past.
 */
export async function makeCoupon(
  sql: Sql,
  {
    code,
    count,
    from = "-1 day",
    until = "1 day",
  }: { code: string; count: number; from?: string; until?: string },
  owner?: Sql,
): Promise<number> {
  const isOver = owner !== undefined && until.startsWith("-");
  const instant = (time: string) =>
    /^\d+-/.test(time) ? sql`${time}::text::timestamptz` : sql`clock_timestamp() + ${time}::text::interval`;
  const [made] = await sql`
    select outcome, coupon_id::integer
    from create_coupon(
      code => ${code}::text, message => 'message', description => '', start_time => ${instant(from)},
      expiry => ${instant(isOver ? "1 day" : until)}, count => ${count}::integer)
  `;
  assert.equal(made?.["outcome"], "created");
  if (isOver)
    await owner`
      update coupon.coupons set expiry = clock_timestamp() + ${until}::text::interval where id = ${made?.["coupon_id"]}`;
  return made?.["coupon_id"];
}

/** Makes users and coupons. Each coupon starts on a day of its own, so the rules of a day do not limit their counts. */
export function createThings(admin: Sql, owner?: Sql) {
  let users = 0;
  let coupons = 0;

  async function newUsers(count: number): Promise<number[]> {
    const ids = Array.from({ length: count }, () => ++users);
    await makeUsers(admin, ids);
    return ids;
  }

  return {
    newUsers,
    newUser: async () => (await newUsers(1))[0] as number,
    /** A live coupon unless told otherwise. */
    newCoupon({
      count = 10,
      ...times
    }: {
      count?: number;
      from?: string;
      until?: string;
    } = {}): Promise<number> {
      coupons += 1;
      return makeCoupon(admin, { code: `C${coupons}`, count, from: `-${coupons} days`, ...times }, owner);
    },
  };
}

/**
 * Gives users the next units of a coupon as of another instant, which only a trigger that is switched off lets happen. `at` is an
 * SQL expression, in which `local` is the local time of the service now.
 */
export async function plantGrants(
  owner: Sql,
  couponId: number,
  userIds: number[],
  at: string,
): Promise<void> {
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user_coupons_check_new_grants`;
    await sql`update coupon.coupons set issued = issued + ${userIds.length} where id = ${couponId}`;
    await sql`
      insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
      select
        u.id, c.id, t.at at time zone c.time_zone, c.expiry, t.at::date, c.issued - ${userIds.length}::integer + u.place
      from coupon.coupons c
      cross join lateral (select clock_timestamp() at time zone c.time_zone as local) now
      cross join unnest(${userIds}::bigint[]) with ordinality u (id, place)
      cross join lateral (select ${sql.unsafe(at)} as at) t
      where c.id = ${couponId}`;
    await sql`alter table coupon.user_coupons enable trigger user_coupons_check_new_grants`;
  });
}

/** Makes the service's time zone one that PostgreSQL does not know, as after an update of zone data that dropped it. */
export async function loseZone(owner: Sql): Promise<void> {
  await owner.begin(async (sql) => {
    await sql`alter table coupon.settings drop constraint settings_time_zone_is_known`;
    await sql`alter table coupon.coupons disable trigger coupons_day_is_decided_anew`;
    await sql`update coupon.settings set time_zone = 'Gone/Zone'`;
    await sql`alter table coupon.coupons enable trigger coupons_day_is_decided_anew`;
  });
}
