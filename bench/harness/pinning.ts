/** Processes that keep to one core each, where the machine has enough of them: then they do not take each other's time. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

/** Cores that are left to PostgreSQL and to whoever asks. */
const OTHERS = 2;

/** The cores that a process may use, as Linux tells them ("0-3,6"); none where there is no /proc. */
export async function coresOf(pid: number | "self"): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return status.match(/^Cpus_allowed_list:\s+(\S+)$/m)?.[1] ?? "";
}

/** A core for each of `processes`, of those that this process may use; none if there are fewer than two more. */
export function coresFor(processes: number, allowed: string): number[] {
  const cores = allowed
    .split(",")
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
  return cores.length < processes + OTHERS ? [] : cores.slice(-processes);
}

/** All threads of the process, and those that they start, run on this core from now on. By taskset of util-linux. */
export async function pin(pid: number, core: number): Promise<void> {
  await promisify(execFile)("taskset", ["-a", "-c", "-p", `${core}`, `${pid}`]);
}
