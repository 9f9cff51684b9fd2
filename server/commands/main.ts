/**
 * Runs the command of ./sd that the first argument names; each has a file of its name here. The others are elsewhere:
 * `token` is a program of its own, which needs no database, and test, bench, faults and fuzz begin in bench/harness/main.ts.
 */
import { type Env, readEnv } from "../env.ts";
import { outliveReader } from "./print.ts";
import { Interrupted } from "./signals.ts";

/** Answers the exit status. */
type Command = (env: Env, args: string[]) => Promise<number>;

/** Each is loaded when it is the one: a start waits for every module. */
const commands: Record<string, () => Promise<Command>> = {
  setup: async () => (await import("./setup.ts")).setup,
  start: async () => (await import("./start.ts")).start,
  migrate: async () => (await import("./migrate.ts")).migrate,
  psql: async () => (await import("./psql.ts")).psql,
  sql: async () => (await import("./sql.ts")).sql,
  check: async () => (await import("./check.ts")).check,
  doctor: async () => (await import("./doctor.ts")).doctor,
  "lost-grants": async () => (await import("./lost-grants.ts")).lostGrants,
  status: async () => {
    const { status } = await import("./status.ts");
    return (env) => status(env);
  },
  "api-url": async () => (await import("./api-url.ts")).apiUrl,
  keys: async () => (await import("./keys.ts")).keys,
  retire: async () => (await import("./retire.ts")).retire,
  webhooks: async () => (await import("./webhooks.ts")).webhooks,
  cluster: async () => (await import("./cluster.ts")).cluster,
  stop: async () => (await import("./stop.ts")).stop,
  reset: async () => (await import("./reset.ts")).reset,
};

/** Those that take no further word, so that a mistyped one is told. */
const PLAIN = new Set(["setup", "start", "check", "doctor", "status", "api-url", "stop"]);

outliveReader();
const [name = "", ...args] = process.argv.slice(2);
try {
  const load = commands[name];
  if (!load) throw new Error(`no such command: ${name}`);
  if (PLAIN.has(name) && args.length > 0) throw new Error(`usage: ./sd ${name} (not: ${args.join(" ")})`);
  const command = await load();
  process.exitCode = await command(readEnv(), args);
} catch (error) {
  // A signal ends the process without waiting for what was at work.
  if (error instanceof Interrupted) process.exit(error.status);
  // Of the doctor there is nobody else to ask, and a statement is the operator's own.
  const isOwn = name === "doctor" || name === "sql";
  const { explained } = await import("./database.ts");
  console.error(`sd: ${isOwn ? (error as Error).message : explained(error as Error)}`);
  process.exitCode = 1;
}
