/** The time zone of databases whose tests must not see midnight. */
import type { Sql } from "../../db/connect.ts";

/** A whole number of hours east of UTC. The sign of these names is POSIX's: east is minus. */
const zone = (east: number) => `Etc/GMT${east > 0 ? "-" : "+"}${Math.abs(east)}`;

/**
 * The zone in which it is between 12:00 and 13:00 at this instant. One o'clock may come while a test runs: what a test needs to be over
 * is before 12:00, what it needs to come is hours later. A time of another zone is of another day here at some hours of the clock.
 */
export function noonZone(ms = Date.now()) {
  const east = 12 - new Date(ms).getUTCHours();
  return {
    time_zone: zone(east),
    /** Its clocks are so far ahead of UTC, ms. */
    ahead: east * 3_600_000,
    /** The zone an hour to the west, where midnight comes later. */
    westOfIt: zone(east - 1),
    /** What follows a local time, as in '2031-01-01 12:00+03:00'. */
    offset: `${east < 0 ? "-" : "+"}${String(Math.abs(east)).padStart(2, "0")}:00`,
  };
}

/** Declares the service's zone by hand, since set_time_zone() reads the files of all zones. */
export async function declareZone(owner: Sql, time_zone: string): Promise<void> {
  await owner`update coupon.settings set time_zone = ${time_zone}`;
}
