/**
 * The cluster's processes. They outlive the command that starts them, and are found by their command lines, which name their own
 * files: no id is kept that somebody else may have by now. Linux only, as the packages are.
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Account } from "../../db/embedded/run.ts";
import { errorCode, lastLines } from "../../db/embedded/run.ts";
import { TYPESCRIPT } from "../typescript.ts";
import { isNode, type Layout, type Part } from "./layout.ts";
import { POSTGRESQL, type Programs } from "./packages.ts";

interface Start {
  command: readonly string[];
  /** The words of it by which the process is found: who ends it may have another Node.js, another checkout or other packages. */
  mark: readonly string[];
  account: Account;
  /** Where its configuration and its log are. */
  home: string;
}

function startOf({ directory, place }: Layout, programs: Programs, part: Part): Start {
  const shared = { account: place.account, home: directory };
  if (part === "etcd") {
    const mark = ["--config-file", join(directory, "etcd.yml")];
    return { ...shared, command: [programs.etcd, ...mark], mark };
  }
  if (part === "haproxy") {
    const mark = ["-db", "-f", join(directory, "haproxy.cfg")];
    return { ...shared, command: [programs.haproxy, ...mark], mark };
  }
  if (isNode(part)) {
    const command = [programs.patroni, join(directory, `${part}.yml`)];
    return { ...shared, command, mark: command };
  }
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));
  const mark = [`--env-file=${join(place.root, `${part}.env`)}`];
  // As the user of ./sd: PostgreSQL's may not be able to read the checkout.
  return {
    command: [process.execPath, ...TYPESCRIPT, ...mark, main],
    mark,
    account: {},
    home: place.root,
  };
}

/** The processes by their ids, each with the words of its command line. Those that are ending have none. */
async function everyProcess(): Promise<[pid: number, words: string[]][]> {
  const pids = (await fs.readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const read = async (pid: string): Promise<[number, string[]]> => {
    const line = await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return [Number(pid), line.split("\0").slice(0, -1)];
  };
  return Promise.all(pids.map(read));
}

export interface Pids {
  own: number[];
  /** Of a node: the postmaster, or the programs that make its data. */
  postgres: number[];
}

export interface Processes {
  isRunning(part: Part): Promise<boolean>;
  pids(part: Part): Promise<Pids>;
  /** The first of these parts that does not run. */
  firstEnded(parts: readonly Part[]): Promise<Part | undefined>;
  /** Starts it, unless it runs. The answer is false then. */
  launch(part: Part): Promise<boolean>;
  /** Ends it in order, and by force if it has not ended after a while. The answer is whether it ran. */
  end(part: Part): Promise<boolean>;
  /** Ends it as a machine ends that loses its power. The answer is whether it ran. */
  kill(part: Part): Promise<boolean>;
  /** The last lines of its log, with the log's path. */
  logTail(part: Part): Promise<string>;
}

/** How long a process may take to end in order. PostgreSQL writes a checkpoint. */
const END_MS = 20_000;

export function createProcesses(layout: Layout, programs: Programs): Processes {
  const start = (part: Part) => startOf(layout, programs, part);
  const log = (part: Part) => join(start(part).home, `${part}.log`);

  async function own(part: Part, among?: Awaited<ReturnType<typeof everyProcess>>): Promise<number[]> {
    const mark = ["", ...start(part).mark, ""].join("\0");
    return (among ?? (await everyProcess()))
      .filter(([, words]) => ["", ...words, ""].join("\0").includes(mark))
      .map(([pid]) => pid);
  }

  /** What Patroni has started for a node: the postmaster, or the programs that make its data. */
  async function postgres(part: Part): Promise<number[]> {
    const data = join(layout.directory, part);
    const isIts = (word: string) => word === data || word.endsWith(`=${data}`);
    return (await everyProcess())
      .filter(([, [program = "", ...words]]) => program.startsWith(`${POSTGRESQL}/`) && words.some(isIts))
      .map(([pid]) => pid);
  }

  async function endWith(pids: number[], gently: NodeJS.Signals, forcibly: NodeJS.Signals): Promise<void> {
    signal(pids, gently);
    // Who was stopped takes no signal before it goes on.
    signal([...pids, ...(await childrenOf(pids))], "SIGCONT");
    if (await gone(pids, END_MS)) return;
    signal(pids, forcibly);
    if (!(await gone(pids, END_MS)))
      throw new Error(`processes ${pids.join(", ")} do not end: end them yourself`);
  }

  return {
    isRunning: async (part) => (await own(part)).length > 0,
    pids: async (part) => ({ own: await own(part), postgres: isNode(part) ? await postgres(part) : [] }),
    async firstEnded(parts) {
      const now = await everyProcess();
      for (const part of parts) if ((await own(part, now)).length === 0) return part;
      return undefined;
    },
    async launch(part) {
      if ((await own(part)).length > 0) return false;
      const { command, account, home } = start(part);
      const file = await fs.open(log(part), "a", 0o600);
      try {
        const [program = "", ...args] = command;
        // No variables of the caller but these: those of PostgreSQL and of our own settings would change what it does.
        const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", HOME: home };
        const stdio = ["ignore" as const, file.fd, file.fd];
        const child = spawn(program, args, { ...account, cwd: home, env, detached: true, stdio });
        await new Promise((resolve, reject) => void child.once("spawn", resolve).once("error", reject));
        child.unref();
      } finally {
        await file.close();
      }
      return true;
    },
    async end(part) {
      const pids = await own(part);
      await endWith(pids, "SIGTERM", "SIGKILL");
      const left = isNode(part) ? await postgres(part) : [];
      await endWith(left, "SIGINT", "SIGQUIT");
      return pids.length + left.length > 0;
    },
    async kill(part) {
      const pids = await own(part);
      if (isNode(part)) pids.push(...(await postgres(part)));
      const children = await childrenOf(pids);
      signal(pids, "SIGKILL");
      // They end by themselves, but for those that were stopped.
      signal(children, "SIGCONT");
      if (!(await gone(pids, END_MS))) throw new Error(`processes ${pids.join(", ")} do not end`);
      return pids.length > 0;
    },
    async logTail(part) {
      const text = await fs.readFile(log(part), "utf8").catch(() => "");
      return `${log(part)}\n${lastLines(text)}`;
    },
  };
}

/** Of a postmaster: PostgreSQL's other processes. */
export async function childrenOf(pids: readonly number[]): Promise<number[]> {
  const read = (pid: number) => fs.readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const lists = await Promise.all(pids.map(read));
  return lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number));
}

/** To those that are still there: one may have ended by itself, as an autovacuum worker does. */
export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids)
    try {
      process.kill(pid, name);
    } catch (error) {
      if (errorCode(error) !== "ESRCH") throw error;
    }
}

/** Waits until they have ended. A zombie has: its parent has not asked yet. */
async function gone(pids: readonly number[], ms: number): Promise<boolean> {
  const isThere = async (pid: number) => {
    const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    return stat !== "" && !stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  };
  for (const deadline = Date.now() + ms; ; await sleep(20)) {
    if (!(await Promise.all(pids.map(isThere))).some(Boolean)) return true;
    if (Date.now() > deadline) return false;
  }
}
