/** CPU time of processes and of all that they started, as Linux counts it in /proc. */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";

/** USER_HZ, the unit of /proc/PID/stat: 100 on every platform that Linux runs on (proc(5), getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;

export const hasProc = existsSync("/proc/self/stat");

interface Usage {
  parent: number;
  /** Of the process itself, s. */
  own: number;
  /** Of its children that have ended and that it has waited for, s. */
  ended: number;
  command: string;
}

/** What each process of a tree has used so far. */
export type Snapshot = ReadonlyMap<number, Usage>;

/** `root` and everything below it. */
export async function snapshot(root: number): Promise<Snapshot> {
  const all = await readAll();
  const tree = new Map<number, Usage>();
  const add = (pid: number) => {
    const usage = all.get(pid);
    if (!usage || tree.has(pid)) return;
    tree.set(pid, usage);
    for (const [child, { parent }] of all) if (parent === pid) add(child);
  };
  add(root);
  return tree;
}

/** CPU seconds of a process and of all that it started between two snapshots. */
export function total(before: Snapshot, after: Snapshot): number {
  return between(before, after, () => false).others;
}

/** CPU seconds of this process so far, and of the children that it has waited for. */
export async function ownCpu(): Promise<number> {
  const usage = await read(process.pid);
  return usage ? usage.own + usage.ended : Number.NaN;
}

/** The parent of a process. */
export async function parentOf(pid: number): Promise<number> {
  const usage = await read(pid);
  if (!usage) throw new Error(`there is no process ${pid}`);
  return usage.parent;
}

/**
 * CPU seconds between two snapshots of a tree, of the processes whose command line `isMine` takes and of all others. A
 * process that ended in between counts among the others: its parent knows how much it used, and not what it was.
 */
export function between(
  before: Snapshot,
  after: Snapshot,
  isMine: (command: string) => boolean,
): { mine: number; others: number } {
  let mine = 0;
  let others = 0;
  for (const [pid, usage] of after) {
    const used = usage.own - (before.get(pid)?.own ?? 0);
    if (isMine(usage.command)) mine += used;
    else others += used;
    others += usage.ended - (before.get(pid)?.ended ?? 0);
  }
  // Its parent now counts all of its life, and it lived before the first snapshot too.
  for (const [pid, usage] of before) if (!after.has(pid)) others -= usage.own + usage.ended;
  return { mine, others };
}

async function readAll(): Promise<Map<number, Usage>> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const usages = await Promise.all(pids.map(async (pid) => [pid, await read(pid)] as const));
  return new Map(usages.filter((entry): entry is [number, Usage] => entry[1] !== undefined));
}

async function read(pid: number): Promise<Usage | undefined> {
  try {
    const [stat, command] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/cmdline`, "utf8"),
    ]);
    // "pid (name) state ppid …": the name may hold anything, so what follows its last parenthesis is read.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / TICKS_PER_SECOND;
    return { parent: Number(fields[1]), own: seconds(11), ended: seconds(13), command };
  } catch {
    return undefined; // It ended meanwhile.
  }
}
