/**
 * A clock that a fault makes jump, by libfaketime: the server's, or PostgreSQL's.
 *
 * libfaketime (0.9.10) tells the real time to a signal handler that interrupts epoll_wait(). PostgreSQL waits there for locks. So while its
 * clock is ahead, lock_timeout and statement_timeout end a wait only later by as much; what computes is ended in time.
 */
import { chmod, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "../harness/cleanup.ts";
import type { Scratch } from "../harness/scratch.ts";
import type { Ground } from "./ground.ts";
import { untilSeen } from "./seen.ts";

/** Debian's path, and Ubuntu's. */
export const FAKETIME = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`;

export interface FakeTime {
  /** For the process whose clock it is to be. */
  environment: Record<string, string>;
  /** By so many seconds ahead, from now on. */
  write(ahead: number): Promise<void>;
  close(): Promise<void>;
}

export async function openFakeTime(): Promise<FakeTime> {
  const directory = await mkdtemp(join(tmpdir(), "faults-clock-"));
  // PostgreSQL reads it, and is another user.
  await chmod(directory, 0o755);
  const file = join(directory, "ahead");
  /** At once as a whole: a process that found no number in it would end. */
  const write = async (ahead: number) => {
    await writeFile(`${file}.new`, `${ahead < 0 ? "" : "+"}${ahead.toFixed(3)}`);
    await rename(`${file}.new`, file);
  };
  await write(0);
  return {
    environment: {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_XRESET: "1",
    },
    write,
    close: atEnd(() => rm(directory, { recursive: true })),
  };
}

/** The clock of a run's server or database; setting it ends when its owner is seen to tell the new time. */
export function createClock(
  whose: "server" | "database" | undefined,
  { write }: FakeTime,
  database: Scratch,
  targets: readonly string[],
): Ground["clock"] {
  /** What it says, and how exactly, ms. */
  const read = async (): Promise<[time: number, exactMs: number]> =>
    whose === "database" ? [await databaseTime(database), 50] : [await serverTime(targets), 2_000];
  const clock: Ground["clock"] = {
    ahead: 0,
    async set(ahead) {
      clock.ahead = ahead;
      await write(ahead);
      await untilSeen(`a clock that is ${ahead.toFixed(3)} s ahead`, async () => {
        const earliest = Date.now() + ahead * 1_000;
        const [time, exactMs] = await read();
        const latest = Date.now() + ahead * 1_000;
        return earliest - exactMs <= time && time <= latest + exactMs;
      });
    },
  };
  return clock;
}

async function databaseTime({ admin }: Scratch): Promise<number> {
  const [row] = await admin`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`;
  return row?.["ms"];
}

/** The date of its answers, which is exact to a second and kept for as long. */
async function serverTime([target]: readonly string[]): Promise<number> {
  const { headers } = await fetch(`${target}/livez`);
  return Date.parse(headers.get("date") ?? "");
}
