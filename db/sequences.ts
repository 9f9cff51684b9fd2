/**
 * Sequences that are behind the rows of their tables: their next number is taken, and whatever wants it fails with 23505. Logical
 * replication copies rows and not sequences, and so does a restore of data alone.
 */
import type { Session } from "./connect.ts";

export interface SequenceBehind {
  /** With its schema, quoted where needed; so is the table. */
  sequence: string;
  table: string;
  /** The number that it gives next, and the highest that a row has or had: as texts, since a double cannot hold each. */
  next: string;
  highest: string;
}

/** Where numbers stand whose row may be gone, and which nobody gets again: those of coupons that were withdrawn. */
const GONE: Readonly<Record<string, { table: string; column: string }>> = {
  "coupon.coupons": { table: "coupon.audit", column: "coupon_id" },
};

/** Those of schema coupon that are behind, as coupon_owner. The number that comes next is read after the rows, so none is found by chance. */
export async function sequencesBehind(sql: Session): Promise<SequenceBehind[]> {
  const owned = await sql.unsafe(`
    select format('%I.%I', n.nspname, s.relname) as sequence, format('%I.%I', n.nspname, t.relname) as table,
      quote_ident(a.attname) as column
    from pg_depend d
    join pg_class s on s.oid = d.objid and s.relkind = 'S'
    join pg_class t on t.oid = d.refobjid
    join pg_namespace n on n.oid = t.relnamespace and n.oid = s.relnamespace
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
      and n.nspname = 'coupon' and has_table_privilege(t.oid, 'select') and has_table_privilege(s.oid, 'select')
    order by 1
  `);
  const behind: SequenceBehind[] = [];
  for (const { sequence, table, column } of owned) {
    const gone = await highestGone(sql, table);
    const [row] = await sql.unsafe(`
      with highest as materialized (select greatest((select max(${column}) from ${table}), ${gone}) as id)
      select h.id::text as highest, case when s.is_called then s.last_value + 1 else s.last_value end::text as next
      from highest h, ${sequence} s
    `);
    if (row?.["highest"] != null && BigInt(row["highest"]) >= BigInt(row["next"]))
      behind.push({ sequence, table, next: row["next"], highest: row["highest"] });
  }
  return behind;
}

/** As a term of SQL. Where such a column is missing, or its table somebody else's, the doctor says so, and none is gone. */
async function highestGone(sql: Session, table: string): Promise<string> {
  const gone = GONE[table];
  if (!gone) return "null";
  const isThere = await sql`
    select from pg_attribute
    where attrelid = to_regclass(${gone.table}) and attname = ${gone.column} and has_table_privilege(attrelid, 'select')`;
  return isThere.length > 0 ? `(select max(${gone.column}) from ${gone.table})` : "null";
}

/**
 * Puts them after the highest row, as coupon_owner in a transaction of the caller's. It locks the tables of those that are behind,
 * so that nobody takes a number meanwhile, and none is ever put back.
 */
export async function advanceSequences(sql: Session): Promise<SequenceBehind[]> {
  const found = await sequencesBehind(sql);
  if (found.length === 0) return [];
  await sql.unsafe(`lock table ${found.map(({ table }) => table).join(", ")} in share row exclusive mode`);
  const behind = await sequencesBehind(sql);
  for (const { sequence, highest } of behind)
    await sql.unsafe("select setval($1::regclass, $2::bigint)", [sequence, highest]);
  return behind;
}

/** In words for an operator. */
export const inWords = ({ sequence, table, next, highest }: SequenceBehind) =>
  `${sequence} gives ${next} next, and ${table} has rows up to ${highest}`;
