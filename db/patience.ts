/**
 * Set-up waits for locks, but not without limit, whatever somebody's psql holds: who issues may have to wait behind it. What it does
 * not get in a second it gives up, undone, and tries again for half a minute. Then it says who is in its way.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type Sql } from "./connect.ts";
import type { Target } from "./target.ts";

/** Less than the server's own lock_timeout and patience (2 s): behind a set-up that waits so long nobody is refused. */
export const LOCK_MS = 1_000;
/** With longer and longer pauses between them, half a minute in all. */
export const ATTEMPTS = 10;
/** From one question whom a wait is for to the next one; well within LOCK_MS. */
const ASK_MS = 200;

/**
 * Does `work` again until it gets its locks. `what` names it in the sentences. `work` waits for each lock for LOCK_MS at most, and
 * leaves nothing behind when it fails.
 */
export type Patience = <T>(what: string, work: () => Promise<T>) => Promise<T>;

/** A failure to get a lock, of which no error of the driver tells. */
export class LockTimeout extends Error {
  readonly code = "55P03";
  /** The file that waited. */
  readonly file: string;
  constructor(file: string, cause: unknown) {
    super(`${file}: canceling statement due to lock timeout`, { cause });
    this.file = file;
  }
}

/** The application_name of dbmate's session, by which its waits are found. */
export const migrationSession = (setupPid: number) => `coupon-setup of ${setupPid}`;

/** `pid` is the backend of the set-up's session. */
export function createPatience(
  target: Target,
  pid: number,
  log: (line: string) => void,
  attempts = ATTEMPTS,
): Patience {
  return async (what, work) => {
    for (let attempt = 1; ; attempt++) {
      const watch = attempt < attempts ? undefined : await watchWait(target, pid);
      try {
        return await work();
      } catch (error) {
        if (!isLockTimeout(error)) throw error;
        const name = error instanceof LockTimeout ? error.file : what;
        if (watch) throw new Error(`${name}: ${await watch.holder()}`, { cause: error });
        log(`${name}: waits for a lock, again in a moment`);
        await sleep(attempt * 500);
      } finally {
        await watch?.end();
      }
    }
  };
}

function isLockTimeout(error: unknown): boolean {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  return code === "55P03" || cause?.code === "55P03";
}

/** For what only reads, with LOCK_MS: what it read, or `otherwise` where somebody holds a table. */
export async function unlessLocked<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    return otherwise;
  }
}

/**
 * Asks, while the set-up still waits, for whom, and tells whom it found last: who was in its way before has let go. Afterwards nobody could
 * tell. A busy machine may take as long to connect as the wait
 * lasts, and may take long until the wait begins.
 */
async function watchWait(target: Target, pid: number) {
  const sql = connect(target);
  await sql`select`.catch(() => {});
  let isOver = false;
  const asked = (async () => {
    let last = "somebody holds what it must lock, see ./sd status: try again later";
    while (!isOver) {
      await sleep(ASK_MS);
      last = (await holderOf(sql, pid).catch(() => undefined)) ?? last;
    }
    return last;
  })();
  const end = () => {
    isOver = true;
    return asked;
  };
  return {
    holder: end,
    async end() {
      await end();
      await sql.end({ timeout: 1 });
    },
  };
}

/**
 * Who holds what the set-up waits for, in words: of those who do not wait themselves, the session that has been at it longest. Whoever
 * waits for the same row or table, autovacuum too, is only ahead in the queue.
 */
async function holderOf(sql: Sql, pid: number): Promise<string | undefined> {
  const [row] = await sql`
    with recursive ahead as (
      select unnest(pg_blocking_pids(w.pid)) as pid
      from pg_stat_activity w
      where w.pid = ${pid} or (w.usename = session_user and w.application_name = ${migrationSession(pid)})
      union
      select unnest(pg_blocking_pids(ahead.pid)) from ahead
    )
    select
      h.pid, coalesce('login ' || quote_ident(a.usename), a.backend_type, 'of PostgreSQL') as who, nullif(a.application_name, '') as program,
      to_char(a.xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') as since
    from ahead h
    left join pg_stat_activity a on a.pid = h.pid
    where
      (a.pid is not null or h.pid = 0) -- the others have ended
      and pg_blocking_pids(h.pid) = '{}'
    order by a.xact_start
    limit 1
  `;
  if (!row) return undefined;
  if (row["pid"] === 0)
    return "a prepared transaction holds what it must lock, see pg_prepared_xacts: end that one first";
  const { who, program, since } = row;
  return (
    `pid ${row["pid"]}, ${who}${program ? ` (${program})` : ""}, holds what it must lock` +
    `${since ? `, in a transaction open since ${since}` : ""}: end that session or wait for it, then try again`
  );
}
