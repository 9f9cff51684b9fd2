/** What the tests beside the functions share: a database a file, and the rows that most cases begin with. */
import assert from "node:assert/strict";
import { after } from "node:test";
import type { PendingQuery, Row } from "postgres";
import { scratchDatabase } from "./scratch.ts";

type Query = PendingQuery<Row[]>;

/** The rows of a statement as plain arrays of values, which deepEqual can compare. */
export async function rows(query: Query): Promise<unknown[][]> {
  return [...(await query.values())];
}

/** The first value of the first row. */
export async function value(query: Query): Promise<unknown> {
  return (await query.values())[0]?.[0];
}

/** Asserts that a function refuses an argument: by name, with 22004 for a null and 22023 for anything else. */
export async function refusesArgument(query: Query, argument: string, code: "22004" | "22023") {
  await assert.rejects(query, { code, column_name: argument });
}

/**
 * A database for the tests of one file. Its coupons start on days of their own, so that they don't meet; its time zone is
 * one in which it is noon, so that no test sees midnight, or the given one.
 */
export async function testDatabase(given: { time_zone?: string } = {}) {
  const database = await scratchDatabase();
  after(() => database.drop());
  const { owner, admin } = database;
  const east = 12 - new Date().getUTCHours();
  const zone = (hours: number) => `Etc/GMT${hours > 0 ? "-" : "+"}${Math.abs(hours)}`; // a POSIX sign: east is minus
  const { time_zone = zone(east) } = given;
  // By hand, since set_time_zone() reads the files of all zones.
  await owner`update coupon.settings set time_zone = ${time_zone}`;
  let lastUser = 0;
  let lastDay = 0;

  async function crowd(size: number): Promise<number[]> {
    const ids = Array.from({ length: size }, () => ++lastUser);
    await admin`select from import_users(${ids}::bigint[], ${ids.map((id) => `User ${id}`)}::text[])`;
    return ids;
  }

  /**
   * A new coupon's id. `starts_in` and `ends_in` count from the database clock; without them it is live, began some
   * days ago and ends in an hour.
   */
  async function coupon(
    given: { starts_in?: string; ends_in?: string; count?: number } = {},
  ): Promise<number> {
    const { starts_in = `-${++lastDay} days`, ends_in = "1 hour", count = 10 } = given;
    const [[outcome, coupon_id] = []] = await rows(admin`
      select c.outcome, c.coupon_id::integer
      from create_coupon(${`C${starts_in}`.replaceAll(/\W/g, "_")}, 'message', 'description',
        clock_timestamp() + ${starts_in}::interval, clock_timestamp() + ${ends_in}::interval, ${count}) c
    `);
    assert.equal(outcome, "created");
    return coupon_id as number;
  }

  return {
    owner,
    admin,
    apiUrl: database.apiUrl,
    adminUrl: database.adminUrl,
    time_zone,
    /** The zone an hour to the west, where midnight comes later. */
    westOfIt: zone(east - 1),
    /** What follows a local time, as in '2031-01-01 12:00+03'. */
    offset: `${east < 0 ? "-" : "+"}${Math.abs(east)}`,
    /** Today's date for the service, as a piece of a statement. */
    today: admin`(clock_timestamp() at time zone ${time_zone})::date`,
    crowd,
    coupon,

    async user(): Promise<number> {
      return (await crowd(1))[0] as number;
    },

    /** A new coupon of the day that starts `days` from now. */
    upcoming: (days: number) => coupon({ starts_in: `${days} days`, ends_in: `${days + 1} days` }),

    /** The outcome of issue_coupon(). */
    issue: (user_id: number, coupon_id: number) =>
      value(admin`select outcome from issue_coupon(${user_id}, ${coupon_id})`),

    /** The outcome of use_coupon(). */
    use: (user_id: number, coupon_id: number, reference: string) =>
      value(admin`select outcome from use_coupon(${user_id}, ${coupon_id}, ${reference})`),

    /** Grants to new users, in this order, so many each and so long ago, which no path but a switched off trigger makes. */
    async planted(coupon_id: number, ...grants: [count: number, ago: string][]) {
      const first = lastUser + 1;
      await crowd(grants.reduce((sum, [count]) => sum + count, 0));
      await owner.begin(async (sql) => {
        await sql`alter table coupon.user_coupons disable trigger user_coupons_check_new_grants`;
        let given = 0;
        for (const [count, ago] of grants) {
          await sql`update coupon.coupons set issued = issued + ${count} where id = ${coupon_id}`;
          await sql`
            insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
            select ${first + given} + n, c.id, at, c.expiry, (at at time zone c.time_zone)::date, c.issued - ${count} + 1 + n
            from coupon.coupons c, generate_series(0, ${count - 1}::integer) n,
              (select clock_timestamp() - ${ago}::text::interval) clock (at)
            where c.id = ${coupon_id}`;
          given += count;
        }
        await sql`alter table coupon.user_coupons enable trigger user_coupons_check_new_grants`;
      });
    },

    /** Ends a coupon now. */
    expire: (coupon_id: number) =>
      owner`update coupon.coupons set expiry = clock_timestamp() where id = ${coupon_id}`,

    /** A grant of an earlier day, which no path but a switched off trigger makes. */
    grantedBefore: (days: number, user_id: number, coupon_id: number) =>
      owner.begin(async (sql) => {
        await sql`alter table coupon.user_coupons disable trigger user_coupons_check_new_grants`;
        await sql`update coupon.coupons set issued = issued + 1 where id = ${coupon_id}`;
        await sql`
          insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
          select ${user_id}, c.id, at, c.expiry, (at at time zone c.time_zone)::date, c.issued
          from coupon.coupons c, (select clock_timestamp() - ${days} * interval '1 day') clock (at)
          where c.id = ${coupon_id}`;
        await sql`alter table coupon.user_coupons enable trigger user_coupons_check_new_grants`;
      }),
  };
}
