/**
 * Columns in forms that no setting of the session changes (DateStyle, IntervalStyle, TimeZone, extra_float_digits): an instant is
 * RFC 3339 in UTC with all digits, a day is an ISO date, a duration is a number of seconds.
 */
export function instant(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ${nameOf(column)}`;
}

export function day(column: string): string {
  return `to_char(${column}::timestamp, 'YYYY-MM-DD') as ${nameOf(column)}`;
}

export function seconds(column: string): string {
  return `extract(epoch from ${column}) as ${nameOf(column)}`;
}

export function list(...columns: string[]): string {
  return columns.join(", ");
}

const nameOf = (column: string) => column.split(".").at(-1);
