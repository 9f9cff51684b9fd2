/** Who starts, stops or removes takes turns, one at a time for each data directory. */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { nameOf } from "./place.ts";
import { listen } from "./port.ts";
import { errorCode } from "./run.ts";

const LOCK_MS = 180_000;

/**
 * Runs `work` alone; `signal` ends the wait for its turn, and nothing else. The lock is the kernel's and ends with its holder, so that no
 * stale one is ever found: on Linux a name in the abstract socket space, elsewhere (macOS) open(2)'s O_EXLOCK.
 */
export async function locked<T>(
  root: string,
  work: (root: string) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const O_EXLOCK = 0x20;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | O_EXLOCK;
  for (const deadline = Date.now() + LOCK_MS; Date.now() < deadline; await sleep(20)) {
    const server = createServer();
    let release: () => unknown = () => server.close();
    try {
      if (process.platform === "linux") await listen(server, { path: `\0coupon-drop-${nameOf(root)}` });
      else {
        const file = await fs.open(join(root, "lock"), flags, 0o600);
        release = () => file.close();
      }
    } catch (error) {
      if (!["EADDRINUSE", "EAGAIN"].includes(errorCode(error))) throw error;
      signal?.throwIfAborted();
      continue;
    }
    try {
      return await work(root);
    } finally {
      await release();
    }
  }
  throw new Error(
    `another start or stop of ${root} has not ended for ${LOCK_MS / 1000} s: end it and try again`,
  );
}
