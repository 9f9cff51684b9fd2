/** Programs that run to their end, and errors that say what to do. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

/** Another user to run a program as. It is empty for an ordinary user, who runs PostgreSQL under their own name. */
export type Account = { uid?: number; gid?: number };

/**
 * Runs a program to its end and returns its stdout. It gets no PG* and locale variables of the caller, which would change what it
 * does, and a session of its own: a Ctrl-C that reached pg_ctl would leave a starting server that nobody knows of.
 */
export async function run(
  file: string,
  args: string[],
  account: Account,
  env: Record<string, string> = {},
): Promise<string> {
  const PATH = process.env["PATH"] ?? "/usr/bin:/bin";
  const child = spawn(file, args, {
    ...account,
    cwd: "/",
    env: { PATH, LC_ALL: "C", TZ: "UTC", ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = [once(child, "close"), text(child.stdout), text(child.stderr)] as const;
  const [[code, signal], stdout, stderr] = await Promise.all(ended);
  if (code !== 0) throw Object.assign(new Error(`${file} ended with ${code ?? signal}`), { stderr });
  return stdout;
}

export function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

/** A word for a shell. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** An error whose first line says what to do; the last lines of what was said on stderr follow. */
export function failure(sentence: string, cause: unknown): Error {
  const { stderr, message } = cause as { stderr?: string; message: string };
  return new Error(`${sentence}\n${lastLines(stderr || message)}`, { cause });
}

export function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-12).join("\n");
}

export function errorCode(error: unknown): string {
  return String((error as { code?: unknown }).code ?? error);
}
