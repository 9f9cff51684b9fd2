/** What the catalogue says of schemas coupon and public. */
import { readFile } from "node:fs/promises";
import type { Sql } from "./connect.ts";

/** A property of an object; '' is its being there. */
export interface Row {
  object: string;
  /** The table that it belongs to, and goes with. */
  relation: string | null;
  property: string;
  value: string;
  make: string | null;
  unmake: string | null;
}

export type Catalogue = ReadonlyMap<string, Row>;

export const keyOf = ({ object, property }: Pick<Row, "object" | "property">) => `${object}: ${property}`;

export async function catalogueOf(sql: Sql): Promise<Catalogue> {
  const rowsOf = async (file: string) =>
    sql.unsafe<Row[]>(await readFile(new URL(file, import.meta.url), "utf8"));
  await sql`set local search_path = ''`;
  const rows = [...(await rowsOf("catalogue.sql")), ...(await rowsOf("catalogue-tables.sql"))];
  await sql`set local search_path = "$user", public`;
  return new Map(rows.map((row) => [keyOf(row), row]));
}
