/** What a statement reads, as PostgreSQL counts it for the transaction. */
import assert from "node:assert/strict";
import type { PendingQuery, Row, Sql, TransactionSql } from "postgres";
import { rows } from "./rows.ts";

export interface Reads {
  /** What the statement returns. */
  readonly found: unknown[][];
  /** Rows read by each of the indexes. */
  readonly read: readonly number[];
  /** Scans of the tables that these indexes are of. */
  readonly scans: number;
}

/** What a statement reads by these indexes of schema coupon, and how often it scans their tables. */
export const reads = (
  owner: Sql,
  indexes: readonly string[],
  statement: (sql: TransactionSql) => PendingQuery<Row[]>,
): Promise<Reads> =>
  owner.begin(async (sql) => {
    // The session's earlier transactions may be counted too, until PostgreSQL hands their counts on.
    const soFar = async () =>
      (
        await rows(sql`
          select pg_stat_get_xact_tuples_returned(('coupon.' || i.name)::regclass)::integer
          from unnest(${indexes}::text[]) i (name)
          union all
          select sum(pg_stat_get_xact_numscans(t.oid))::integer
          from (
            select distinct i.indrelid
            from pg_index i
            where i.indexrelid = any (select ('coupon.' || n.name)::regclass from unnest(${indexes}::text[]) n (name))
          ) t (oid)`)
      ).flat() as number[];
    const before = await soFar();
    const found = await rows(statement(sql));
    const counts = (await soFar()).map((count, i) => count - (before[i] ?? 0));
    return { found, read: counts.slice(0, -1), scans: counts.at(-1) as number };
  });

/**
 * So many rows of an index the planner may read of itself: once it knows something of a table it looks where the index ends
 * (get_actual_variable_range() of PostgreSQL), and autovacuum may tell it something at any time.
 */
const OF_THE_PLANNER = 50;

/**
 * Asserts that a statement returns so many rows, reads so many by each index and scans no table. Whatever reads too much
 * has to read far more than the planner does.
 */
export function assertReads(
  { found, read, scans }: Reads,
  count: number,
  byIndex: readonly number[],
  message?: string,
) {
  const ofStatement = read.map((n, i) => {
    const expected = byIndex[i] ?? 0;
    return n > expected && n <= expected + OF_THE_PLANNER ? expected : n;
  });
  assert.deepEqual([found.length, ofStatement, scans], [count, byIndex, 0], message);
}
