/** What the tests beside the functions share: a database a file, and the rows that most cases begin with. */
import assert from "node:assert/strict";
import { after } from "node:test";
import type { PendingQuery, Row } from "postgres";
import { connect } from "../../db/connect.ts";
import { createThings, plantGrants } from "./coupons.ts";
import { declareZone, noonZone } from "./noon.ts";
import { scratchDatabase } from "./scratch.ts";

type Query = PendingQuery<Row[]>;

/** The rows of a statement as plain arrays of values, which deepEqual can compare. */
export async function rows(query: Query): Promise<unknown[][]> {
  // postgres 3.4.9 sends a query once, and gives whoever awaits it again the first answer.
  assert.ok(!(query as Query & { executed: boolean }).executed, "this query has run: make another one");
  return [...(await query.values())];
}

/** The first value of the first row. */
export async function value(query: Query): Promise<unknown> {
  return (await rows(query))[0]?.[0];
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
  const { owner, admin } = database;
  const noon = noonZone();
  const { time_zone = noon.time_zone } = given;
  await declareZone(owner, time_zone);
  const watch = connect(database.setupUrl);
  after(async () => {
    await watch.end({ timeout: 1 });
    await database.drop();
  });
  const { newUsers: crowd, newUser: user, newCoupon: coupon } = createThings(admin, owner);

  return {
    owner,
    admin,
    setupUrl: database.setupUrl,
    apiUrl: database.apiUrl,
    adminUrl: database.adminUrl,
    ...noon,
    time_zone,
    /** Today's date for the service, as a piece of a statement. */
    today: admin`(clock_timestamp() at time zone ${time_zone})::date`,
    /** As the set-up login, which sees what other sessions wait for. */
    watch,
    crowd,
    user,
    coupon,

    /** A new coupon of the day that starts `days` from now. */
    upcoming: (days: number) => coupon({ from: `${days} days`, until: `${days + 1} days` }),

    /** The outcome of issue_coupon(). */
    issue: (user_id: number, coupon_id: number) =>
      value(admin`select outcome from issue_coupon(${user_id}, ${coupon_id})`),

    /** The outcome of use_coupon(). */
    use: (user_id: number, coupon_id: number, reference: string) =>
      value(admin`select outcome from use_coupon(${user_id}, ${coupon_id}, ${reference})`),

    /** Grants to new users, in this order, so many each and so long ago. */
    async planted(coupon_id: number, ...grants: [count: number, ago: string][]) {
      for (const [count, ago] of grants)
        await plantGrants(owner, coupon_id, await crowd(count), `local - interval '${ago}'`);
    },

    /** Ends a coupon now. */
    expire: (coupon_id: number) =>
      owner`update coupon.coupons set expiry = clock_timestamp() where id = ${coupon_id}`,

    /** A grant of an earlier day. */
    grantedBefore: (days: number, user_id: number, coupon_id: number) =>
      plantGrants(owner, coupon_id, [user_id], `local - interval '${days} days'`),
  };
}
