/** How many connections a process can have: each is an open file, and the system limits those. */
import { readFileSync } from "node:fs";

/** What a process needs besides: connections to the database, the log, code. */
const OTHER_FILES = 200;

/** At most `most`. `limits` is what Linux says in /proc/self/limits; Node raises the soft limit to the hard one at its start. */
export function connectionsFor(most: number, limits = readLimits()): number {
  const files = Number(limits.match(/^Max open files +(\d+)/m)?.[1] ?? Number.POSITIVE_INFINITY);
  return Math.min(most, Math.max(files - OTHER_FILES, Math.floor(files / 2)));
}

/** Nothing where there is no /proc. (Node's process.report knows the limit everywhere, and takes 150 ms.) */
function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    return "";
  }
}
