/**
 * Runs the command of ./sd that the first argument names; each has a file of its name here. The others are elsewhere:
 * `token` is a program of its own, which needs no database, and test, bench, faults and fuzz begin in bench/harness/main.ts.
 */
import { type Env, readEnv } from "../env.ts";
import { apiUrl } from "./api-url.ts";
import { check } from "./check.ts";
import { doctor } from "./doctor.ts";
import { migrate } from "./migrate.ts";
import { outliveReader } from "./print.ts";
import { psql } from "./psql.ts";
import { reset } from "./reset.ts";
import { setup } from "./setup.ts";
import { Interrupted } from "./signals.ts";
import { sql } from "./sql.ts";
import { start } from "./start.ts";
import { status } from "./status.ts";
import { stop } from "./stop.ts";

/** Answers the exit status. */
type Command = (env: Env, args: string[]) => Promise<number>;

const commands: Record<string, Command> = {
  setup,
  start,
  migrate,
  psql,
  sql,
  check,
  doctor,
  status: (env) => status(env),
  "api-url": (env) => apiUrl(env),
  stop,
  reset,
};

outliveReader();
const [name = "", ...args] = process.argv.slice(2);
try {
  const command = commands[name];
  if (!command) throw new Error(`no such command: ${name}`);
  process.exitCode = await command(readEnv(), args);
} catch (error) {
  // A signal ends the process without waiting for what was at work.
  if (error instanceof Interrupted) process.exit(error.status);
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 1;
}
