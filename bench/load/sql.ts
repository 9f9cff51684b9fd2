/**
 * What a batch costs in PostgreSQL: issue_coupons() at several sizes against a bare insert of the same rows into a table
 * with the same columns, indexes and checks, and with foreign keys for what our guard checks. One session,
 * durable commits, all in turn.
 */
import { connect, type Sql } from "../../db/connect.ts";
import { withCleanup } from "../harness/cleanup.ts";
import { newDatabase } from "../harness/service.ts";
import { spread } from "../harness/stats.ts";
import { copyTable, createCoupon, emptyTables, grantsOf } from "../harness/tables.ts";
import { createVerdict, type Findings, type Say } from "../report/result.ts";
import { medianOf } from "./measures.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface SqlOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  batches: readonly number[];
  /** Rows in each measured piece, at most; a piece has at most 400 calls. */
  rows: number;
}

export const sql: Scenario<SqlOptions> = {
  name: "sql",
  about: "what issue_coupons() costs a row at several batch sizes, against a bare insert of the same rows",
  defaults: { rounds: 5, batches: [1, 10, 100, 1_000], rows: 20_000 },
  quick: { rounds: 1, rows: 2_000 },
  run,
};

const USERS = 100_000;
const FIGURE = "µs a row";

function run({ rounds, batches, rows }: SqlOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    const database = await newDatabase();
    later(database.drop);
    const session = connect(database.setupUrl, { max: 1, role: "coupon_owner" });
    later(() => session.end({ timeout: 1 }));
    await insertUsers(session);

    const verdict = createVerdict();
    const contenders = batches.flatMap((batch) => [
      { name: "issue_coupons", batch, measure: measureIssue },
      { name: "bare insert", batch, measure: measureBare },
    ]);
    const measured = await inTurn(
      contenders,
      rounds,
      async ({ name, batch, measure }) => {
        const piece = Math.max(batch, Math.floor(Math.min(rows, batch * 400) / batch) * batch);
        const { us, counts } = await measure(session, batch, piece);
        for (const [what, n] of Object.entries(counts)) verdict.equal(`${what} of ${name}`, n, piece);
        return us;
      },
      say,
    );
    verdict.checks.push("each piece left as many rows as it was asked for");

    const measures = [...measured].map(([{ name, batch }, us]) => ({
      group: groupOf(batch),
      name,
      figures: { [FIGURE]: spread(us) },
    }));
    const headlines = batches.map(groupOf).map((group) => ({
      name: `issue_coupons / bare insert, ${group}`,
      value:
        medianOf(measures, { group, name: "bare insert" }, FIGURE) /
        medianOf(measures, { group, name: "issue_coupons" }, FIGURE),
    }));
    const { checks, failures } = verdict;
    return { measures, headlines, checks, failures, notes: ["The ratios are of rows a second."] };
  });
}

export const groupOf = (batch: number) => `batches of ${batch.toLocaleString("en")}`;

export async function insertUsers(session: Sql): Promise<void> {
  await session`insert into coupon.users select n, 'User ' || n from generate_series(1, ${USERS}::bigint) n`;
}

interface Piece {
  us: number;
  /** Each must be the number of rows asked for. */
  counts: Record<string, number>;
}

/** Grants of a new coupon to users in random order. */
export async function measureIssue(session: Sql, batch: number, rows: number): Promise<Piece> {
  await emptyTables(session);
  const coupon = await createCoupon(session, "BENCH", 0, 1_000_000);
  const us = await timed(rows, batch, await someUsers(session, rows), async (users) => {
    await session`select count(*) from issue_coupons(${coupon}::bigint, ${users}::bigint[])`;
  });
  const { rows: made, last, issued } = await grantsOf(session, coupon);
  return { us, counts: { rows: made, "last position": last, "coupons.issued": issued } };
}

/** The same rows by a plain insert. */
async function measureBare(session: Sql, batch: number, rows: number): Promise<Piece> {
  await session`drop table if exists bare`;
  await emptyTables(session);
  const coupon = await createCoupon(session, "BENCH", 0, 1_000_000);
  await copyTable(session, "coupon.user_coupons", "bare");
  // What the guard checks of ours, in the way that a table declares it.
  await session`alter table bare add foreign key (user_id) references coupon.users (id)`;
  await session`alter table bare add foreign key (coupon_id) references coupon.coupons (id)`;
  let first = 0;
  const us = await timed(rows, batch, await someUsers(session, rows), async (users) => {
    await session`
      insert into bare (user_id, coupon_id, issued_at, expiry, issued_on, position)
      select u.id, c.id, clock_timestamp(), c.expiry, current_date, ${first}::integer + u.place
      from coupon.coupons c
      cross join unnest(${users}::bigint[]) with ordinality u (id, place)
      where c.id = ${coupon}
    `;
    first += batch;
  });
  const [made] = await session`select count(*)::integer as rows from bare`;
  await session`drop table bare`;
  return { us, counts: { rows: made?.["rows"] } };
}

async function someUsers(session: Sql, rows: number): Promise<string[]> {
  const users = await session`select id from coupon.users order by random() limit ${rows}`;
  return users.map((user) => user["id"]);
}

/** µs a row */
async function timed(
  rows: number,
  batch: number,
  users: string[],
  call: (users: string[]) => Promise<void>,
): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < rows; i += batch) await call(users.slice(i, i + batch));
  return ((performance.now() - began) * 1000) / rows;
}
