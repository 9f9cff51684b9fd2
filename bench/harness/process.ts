/** A process that a bench fires at: started, found by the address that it logs, measured, ended by its id. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { atEnd } from "./cleanup.ts";

/** What a process is given of our environment: what finds programs, and what ./sd gives Node.js. */
export const STARTING = {
  PATH: process.env["PATH"],
  NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
  NODE_OPTIONS: process.env["NODE_OPTIONS"],
};

export interface Process {
  url: string;
  pid: number;
  /** Resolves with its exit status or signal when it has ended. */
  ended: Promise<string>;
  /** Its residentMemory(). */
  memory(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a TypeScript file that logs {"message":"listening","url":…}, with this environment and what a process of ours needs. */
export async function startProcess(
  script: string,
  environment: Record<string, string>,
  args: readonly string[] = [],
): Promise<Process> {
  const child = spawn(process.execPath, [...args, ...TYPESCRIPT, script], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...STARTING, ...environment },
  });
  const ended = new Promise<string>((resolve) =>
    child.once("exit", (code, signal) => resolve(signal ?? `exit status ${code}`)),
  );
  const stop = atEnd(async () => {
    child.kill("SIGTERM");
    await ended;
  });

  const url = await new Promise<string>((resolve, reject) => {
    void ended.then(() => stop().then(() => reject(new Error(`${script} ended before it listened`))));
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      const { message, url } = JSON.parse(line);
      if (message !== "listening") return;
      // The rest of its log is read, so that the process never blocks, and not parsed, which would slow the bench down.
      lines.close();
      child.stdout.resume();
      resolve(url);
    });
  });

  return {
    url,
    pid: child.pid as number,
    ended,
    memory: () => residentMemory(child.pid as number),
    stop,
  };
}

/** Of a process and its children, MB; NaN where the system has no /proc. */
export async function residentMemory(pid: number): Promise<number> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const own = Number(status.match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? 0) / 1024;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
    const theirs = await Promise.all(children.split(" ").filter(Boolean).map(Number).map(residentMemory));
    return theirs.reduce((sum, child) => sum + child, own);
  } catch {
    return Number.NaN;
  }
}

/** Samples the memory of a process every 100 ms until `stop()`, which returns the highest sample. */
export function watchMemory(of: Process): { stop(): Promise<number> } {
  let peak = 0;
  const sample = async () => {
    const now = await of.memory();
    if (!(now <= peak)) peak = now;
  };
  const timer = setInterval(sample, 100);
  return {
    async stop() {
      clearInterval(timer);
      await sample();
      return peak;
    },
  };
}
