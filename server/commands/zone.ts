/**
 * The rules of the service's time zone, as PostgreSQL and Node.js have them: two copies of one public data set (tzdata), of which either
 * may be out of date. PostgreSQL's decide. Its files (18.4) do not say of which version they are, so they can only be compared.
 */
import type { Sql } from "../../db/connect.ts";

const DAYS = 730;

/** Says whether both have the same rules for `zone` during two years. `ours` is the zone to look at in Node.js. */
export async function describeZone(sql: Sql, zone: string, from = new Date(), ours = zone): Promise<string> {
  const rows = await sql<{ day: string; offset: number }[]>`
    select
      to_char(d.at at time zone 'UTC', 'YYYY-MM-DD') as day,
      extract(epoch from (d.at at time zone ${zone}) - (d.at at time zone 'UTC'))::integer as offset
    from generate_series(
      date_trunc('day', ${from.toISOString()}::text::timestamptz, 'UTC'),
      ${from.toISOString()}::text::timestamptz + ${DAYS}::integer * interval '1 day', interval '1 day') d (at)
  `.catch((error: { code?: string }) => {
    if (error.code !== "22023") throw error;
    return [];
  });
  if (rows.length === 0) return `${zone}, which PostgreSQL does not know: call set_time_zone()`;
  const node = `tzdata ${process.versions["tz"]} of Node.js`;
  const offsetOf = offsetsIn(ours);
  if (offsetOf === undefined) return `${zone}, by PostgreSQL's rules; ${node} does not know it`;
  const first = rows.find(({ day, offset }) => offsetOf(day) !== offset);
  if (first === undefined) return `${zone}, by PostgreSQL's rules, which are those of ${node} for two years`;
  return (
    `${zone}, by PostgreSQL's rules: ${signed(first.offset)} on ${first.day}, where ${node} says ` +
    `${signed(offsetOf(first.day))}. One of them is out of date`
  );
}

/** How far the zone is ahead of UTC when a day of UTC begins, seconds. */
function offsetsIn(zone: string): ((day: string) => number) | undefined {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" });
  } catch {
    return undefined;
  }
  return (day) => {
    const parts = format.formatToParts(new Date(`${day}T00:00:00Z`));
    const name = parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
    const [, sign, hours = "0", minutes = "0", seconds = "0"] =
      name.match(/^GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/) ?? [];
    return (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
  };
}

function signed(offset: number): string {
  const minutes = Math.abs(Math.trunc(offset / 60));
  const two = (value: number) => `${value}`.padStart(2, "0");
  return `UTC${offset < 0 ? "-" : "+"}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
}
