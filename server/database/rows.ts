/** What goes into the functions of the database, and comes out of them. */
import { DatabaseError } from "./errors.ts";

/** An instant: RFC 3339 in UTC, to the microsecond. */
export type Instant = string;
/** A duration in seconds. */
export type Seconds = number;

/** An array as text, as PostgreSQL reads it: the driver (postgres 3.4.9) supports arrays only with fetch_types. */
export function arrayOf(values: readonly (number | string)[]): string {
  const element = (value: number | string) =>
    typeof value === "number" ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
  return `{${values.map(element).join()}}`;
}

export function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new DatabaseError("defect", "", "a command returned no row");
  return row;
}

/** The last row of a page, after which the next page begins; undefined if this one is not full. */
export function lastOf<Row>(rows: readonly Row[], size: number): Row | undefined {
  return rows.length === size ? rows.at(-1) : undefined;
}
