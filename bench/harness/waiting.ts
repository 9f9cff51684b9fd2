/** Waits for what a test is about, as the database shows it. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "../../db/connect.ts";
import type { Scratch } from "./scratch.ts";

/** Far more than a busy machine needs: it only ends a test that would wait for ever. */
const PATIENCE_MS = 300_000;

/** Between two looks: a look may be a query, and whoever looks without a pause takes a core from what is waited for. */
const PAUSE_MS = 5;

/** Returns when it holds. `what` says in a failure what does not; without it the look itself is quoted. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string) = String(holds),
): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await holds()); await sleep(PAUSE_MS))
    assert.ok(performance.now() < deadline, `still not: ${typeof what === "string" ? what : what()}`);
}

/** Returns when the server says that it is ready. On a busy machine its database may answer later than it waits for that. */
export async function untilReady(url: string, asked: RequestInit = {}): Promise<void> {
  let told = "";
  await until(
    async () => {
      const answer = await fetch(`${url}/readyz`, asked);
      told = await answer.text();
      return answer.status === 200;
    },
    () => `it is ready: ${told}`,
  );
}

/** Does `ask` again and again, one after the other, while `work` runs. */
export async function meanwhile<T>(ask: () => Promise<unknown>, work: () => Promise<T>): Promise<T> {
  let isOver = false;
  const asking = (async () => {
    for (; !isOver; await sleep(PAUSE_MS)) await ask();
  })();
  asking.catch(() => {});
  try {
    return await work();
  } finally {
    isOver = true;
    await asking;
  }
}

/**
 * Returns when exactly `count` sessions of this database wait for a lock, or sleep in coupon.let_leases_run_out(). `watch` is a
 * connection of the set-up login, since others don't see for what a session waits.
 */
export async function waiting(watch: Sql, count = 1, on: "Lock" | "PgSleep" = "Lock"): Promise<void> {
  let seen: unknown;
  await until(
    async () => {
      [{ waiters: seen }] = (await watch`
        select count(*)::integer as waiters
        from pg_stat_activity
        where datname = current_database() and ${on} in (wait_event_type, wait_event)`) as [
        { waiters: number },
      ];
      return seen === count;
    },
    () => `${count} sessions wait (${seen} do)`,
  );
}

/** Returns when a session of this database waits for a lock. Any login sees that. */
export function untilWaiting({ owner }: Pick<Scratch, "owner">): Promise<void> {
  return until(async () => {
    const waiters = await owner`
      select from pg_locks l
      join pg_stat_activity a using (pid)
      where not l.granted and a.datname = current_database()
    `;
    return waiters.count > 0;
  }, "a session waits");
}

/** Returns when a session waits for this one. */
export async function untilBlockedBy({ admin }: Pick<Scratch, "admin">, session: Sql): Promise<void> {
  const [holder] = await session`select pg_backend_pid() as pid`;
  await until(async () => {
    const blocked = await admin`
      select from pg_locks l
      where not l.granted and ${holder?.["pid"]}::integer = any (pg_blocking_pids(l.pid))
    `;
    return blocked.count > 0;
  }, "a session waits for this one");
}

/** Whether a session waits before `work` is done. */
export async function waitsFirst(
  watch: Sql,
  work: PromiseLike<unknown>,
  on: "Lock" | "PgSleep" = "Lock",
): Promise<boolean> {
  let isDone = false;
  const settled = () => {
    isDone = true;
  };
  work.then(settled, settled);
  while (!isDone) {
    const seen = await watch`
      select from pg_stat_activity where datname = current_database() and ${on} in (wait_event_type, wait_event)`;
    if (seen.count > 0) return true;
  }
  return false;
}

/**
 * Repeats an attempt that must begin before an instant, `ms` from now: on a busy machine the instant may pass before the attempt has
 * begun. `attempt` returns undefined if it was too late, and gets more time the next time.
 */
export async function inTime<T>(attempt: (ms: number) => Promise<T | undefined>): Promise<T> {
  for (let ms = 300; ms < PATIENCE_MS; ms *= 2) {
    const result = await attempt(ms);
    if (result !== undefined) return result;
  }
  assert.fail("always too late");
}

/** Does `work` again if it failed and a quarter of an hour began meanwhile: midnight, and every hour, comes with one in each time zone. */
export async function withinAQuarter<T>(work: () => Promise<T>): Promise<T> {
  const quarter = () => Math.floor(Date.now() / 900_000);
  for (;;) {
    const began = quarter();
    try {
      return await work();
    } catch (error) {
      if (quarter() === began) throw error;
    }
  }
}
