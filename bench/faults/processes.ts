/** Processes that a fault stops, and programs that it needs. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { succeeds } from "../../db/embedded/run.ts";
import { signal } from "../../server/cluster/processes.ts";
import { untilSeen } from "./seen.ts";

export const run = promisify(execFile);

/** Stops them (SIGSTOP) until `meanwhile` is over. */
export async function standStill(pids: readonly number[], meanwhile: () => Promise<void>): Promise<void> {
  signal(pids, "SIGSTOP");
  try {
    await untilSeen("all stopped", async () => {
      const states = await Promise.all(pids.map(stateOf));
      const running = states.filter((state) => state !== undefined);
      return running.length > 0 && running.every((state) => state === "T");
    });
    await meanwhile();
  } finally {
    signal(pids, "SIGCONT");
  }
}

/** The letter of /proc; undefined: it has ended. A parent that stands still does not take note of that: its child stays as a zombie (Z). */
export async function stateOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // Its name, which may be anything, stands in brackets before its state.
  const state = stat?.[stat.lastIndexOf(")") + 2];
  return state === "Z" ? undefined : state;
}

export function has(command: string, ...args: string[]): Promise<boolean> {
  return succeeds(run(command, args));
}
