/**
 * Ctrl-C and its like, for a command of ./sd that must clean up: a signal ends its work, and never the cleaning up. Once a
 * child runs, the signals are the child's.
 */
import { spawn } from "node:child_process";
import { constants as os } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type Signal = (typeof SIGNALS)[number];

/** What the work of a command ends with at a signal. */
export class Interrupted extends Error {
  /** The exit status, as a shell gives it. */
  readonly status: number;
  constructor(signal: Signal) {
    super(`ended by ${signal}`);
    this.status = 128 + os.signals[signal];
  }
}

const ending = new AbortController();
/** Aborted by a signal, once heedSignals() was called. */
export const signalled: AbortSignal = ending.signal;

type Taker = (signal: Signal) => void;
let current: Taker | undefined;

/** From now on signals are this one's, and no longer the last one's. */
function give(taker: Taker): void {
  for (const signal of SIGNALS) {
    if (current) process.removeListener(signal, current);
    process.on(signal, taker);
  }
  current = taker;
}

/** From now on a signal ends only what asks for it: untilSignal() and exitOf(). */
export function heedSignals(): void {
  give((signal) => ending.abort(new Interrupted(signal)));
}

/** Does `work` unless a signal has come, and until one comes: then it is left where it is. */
export async function untilSignal<T>(work: () => Promise<T>): Promise<T> {
  const { signal } = ending;
  signal.throwIfAborted();
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => {
      // What is left may fail when its database goes: the driver's own query for types (postgres 3.4.9, porsager/postgres#1192), whose
      // rejection is nobody's.
      process.on("unhandledRejection", () => {});
      reject(signal.reason);
    });
  });
  return Promise.race([work(), interrupted]);
}

/**
 * Goes on as another program, in the place of this one: nothing of this process stays. For a command that has nothing to clean up.
 * Before Node.js 22.15, which cannot, it is exitOf().
 */
export async function becomes(
  program: string,
  args: string[],
  how: { env: NodeJS.ProcessEnv; called?: string; channel?: boolean },
): Promise<number> {
  ending.signal.throwIfAborted();
  (process as { execve?(file: string, argv: string[], env: NodeJS.ProcessEnv): never }).execve?.(
    program,
    [program, ...args],
    how.env,
  );
  return exitOf(program, args, how);
}

/**
 * Runs a program unless a signal has come; those that come now are passed on to it as SIGTERM, but not the ignored one. Its
 * exit status as a shell gives it. A signal of somebody else's that ends it is told. With a `channel` it sees this process end, however
 * that is ended: it gets "disconnect".
 */
export async function exitOf(
  program: string,
  args: string[],
  how: {
    env: NodeJS.ProcessEnv;
    ignored?: Signal;
    called?: string;
    channel?: boolean;
    cwd?: string | undefined;
  },
): Promise<number> {
  ending.signal.throwIfAborted();
  const stdio = ["inherit", "inherit", "inherit", ...(how.channel ? (["ipc"] as const) : [])] as const;
  const child = spawn(program, args, { stdio: [...stdio], env: how.env, cwd: how.cwd });
  let isPassed = false;
  give((signal) => {
    if (signal === how.ignored) return;
    isPassed = true;
    child.kill("SIGTERM");
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (signal !== null && signal !== how.ignored && !isPassed)
        console.error(`sd: ${how.called ?? program} was ended by ${signal}`);
      resolve(code ?? 128 + (signal ? os.signals[signal] : 0));
    });
  });
}
