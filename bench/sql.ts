/**
 * What a batch costs in PostgreSQL: issue_coupons() at several sizes against a bare insert of the same rows into a table
 * with the same columns, indexes, checks and foreign keys, which is the least that any way of granting can cost. One session,
 * durable commits, the two in turn.
 */
import { connect } from "../db/connect.ts";
import { scratchDatabase } from "../db/scratch.ts";

export interface SqlOptions {
  /** Rows in each measured piece, at most; a piece has at most 400 calls. */
  rows: number;
  rounds: number;
}

export const defaults: SqlOptions = { rows: 20_000, rounds: 5 };
export const quick: SqlOptions = { rows: 2_000, rounds: 3 };

export interface SqlResult {
  version: string;
  /** µs a row: median, fastest and slowest round. */
  sizes: { size: number; issue: number[]; bare: number[]; ratio: number }[];
}

const SIZES = [1, 10, 100, 1_000];
const USERS = 100_000;

export async function sql(options: SqlOptions, say: (line: string) => void): Promise<SqlResult> {
  const database = await scratchDatabase();
  const session = connect(database.setupUrl, { max: 1, role: "coupon_owner" });
  try {
    await session`insert into coupon.users select n, 'User ' || n from generate_series(1, ${USERS}::bigint) n`;
    const [server] = await session`select current_setting('server_version') as version`;
    const sizes = [];
    for (const size of SIZES) {
      const rows = Math.min(options.rows, size * 400);
      const issue: number[] = [];
      const bare: number[] = [];
      // The first round of each warms up.
      for (let round = 0; round <= options.rounds; round++) {
        for (const [figures, measure] of [
          [issue, measureIssue],
          [bare, measureBare],
        ] as const) {
          const us = await measure(session, size, rows);
          if (round > 0) figures.push(us);
        }
      }
      issue.sort((a, b) => a - b);
      bare.sort((a, b) => a - b);
      const ratio = middle(bare) / middle(issue);
      sizes.push({ size, issue, bare, ratio });
      say(`batches of ${size}: ${middle(issue).toFixed(1)} µs a row, bare ${middle(bare).toFixed(1)}`);
    }
    return { version: server?.["version"], sizes };
  } finally {
    await session.end({ timeout: 1 });
    await database.drop();
  }
}

type Session = ReturnType<typeof connect>;

/** µs a row of `rows` grants of a new coupon to users in random order; then counts the rows. */
async function measureIssue(session: Session, size: number, rows: number): Promise<number> {
  const coupon = await emptyAndCreate(session);
  const us = await timed(rows, size, await someUsers(session, rows), async (users) => {
    await session`select count(*) from issue_coupons(${coupon}::bigint, ${users}::bigint[])`;
  });
  const [made] = await session`
    select count(*)::integer as rows, max(position) as last from coupon.user_coupons where coupon_id = ${coupon}`;
  if (made?.["rows"] !== rows || made?.["last"] !== rows)
    throw new Error(`${made?.["rows"]} grants, not ${rows}`);
  return us;
}

/** The same rows by a plain insert. */
async function measureBare(session: Session, size: number, rows: number): Promise<number> {
  const coupon = await emptyAndCreate(session);
  await session.unsafe(`
    drop table if exists bare;
    create table bare (like coupon.user_coupons including all);
    alter table bare add foreign key (user_id) references coupon.users (id);
    alter table bare add foreign key (coupon_id, expiry) references coupon.coupons (id, expiry)`);
  let first = 0;
  const us = await timed(rows, size, await someUsers(session, rows), async (users) => {
    await session`
      insert into bare (user_id, coupon_id, issued_at, expiry, issued_on, position)
      select u.id, c.id, clock_timestamp(), c.expiry, current_date, ${first}::integer + u.place
      from coupon.coupons c
      cross join unnest(${users}::bigint[]) with ordinality u (id, place)
      where c.id = ${coupon}
    `;
    first += size;
  });
  const [made] = await session`select count(*)::integer as rows from bare`;
  if (made?.["rows"] !== rows) throw new Error(`${made?.["rows"]} rows, not ${rows}`);
  return us;
}

/** Nobody holds anything, and there is one coupon with room for all. */
async function emptyAndCreate(session: Session): Promise<string> {
  await session.unsafe(`
    drop table if exists bare;
    alter table coupon.user_coupons disable trigger user;
    alter table coupon.undone_uses disable trigger user;
    truncate coupon.coupons cascade;
    alter table coupon.user_coupons enable trigger user;
    alter table coupon.undone_uses enable trigger user`);
  const [made] = await session`
    select coupon_id from create_coupon(
      'BENCH', 'bench', '', clock_timestamp(), clock_timestamp() + interval '1 day', 1000000)`;
  return made?.["coupon_id"];
}

async function someUsers(session: Session, rows: number): Promise<string[]> {
  const users = await session`select id from coupon.users order by random() limit ${rows}`;
  return users.map((user) => user["id"]);
}

async function timed(
  rows: number,
  size: number,
  users: string[],
  call: (users: string[]) => Promise<void>,
): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < rows; i += size) await call(users.slice(i, i + size));
  return ((performance.now() - began) * 1000) / rows;
}

export function middle(sorted: number[]): number {
  return sorted[Math.floor(sorted.length / 2)] as number;
}
