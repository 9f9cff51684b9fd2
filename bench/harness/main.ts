/**
 * Runs a command with a server for databases to throw away, as ./sd test, bench, faults and fuzz do: SCRATCH_SERVER_URL's, which may
 * be "debian" or "debian:15" for a new one of Debian's PostgreSQL, "npm:16" or "npm:17" for one from npm, else the embedded one that all
 * runs share.
 */
import { join } from "node:path";
import { exitOf, heedSignals, Interrupted } from "../../server/commands/signals.ts";
import { readEnv } from "../../server/env.ts";
import { withLogin } from "./cluster.ts";
import { startDebian } from "./debian.ts";
import { startNpm } from "./npm-postgres.ts";
import { withSharedServer, withTemplate } from "./scratch.ts";

try {
  const [command, ...args] = process.argv.slice(2);
  if (!command) throw new Error("no command");
  heedSignals();
  const run = (given: Record<string, string>) => exitOf(command, args, { env: { ...process.env, ...given } });
  const onServer = (url: string) => withTemplate(url, run);
  const given = process.env["SCRATCH_SERVER_URL"];
  const [name, version] = given?.split(":") ?? [];
  const { DATA_DIR } = readEnv();
  if (name === "debian") process.exitCode = await withLogin(await startDebian(undefined, version), onServer);
  else if (name === "npm") process.exitCode = await withLogin(await startNpm(version, DATA_DIR), onServer);
  else if (given) process.exitCode = await onServer(given);
  else process.exitCode = await withSharedServer(join(DATA_DIR, "scratch"), onServer);
} catch (error) {
  // A signal: what was running is not waited for.
  if (error instanceof Interrupted) process.exit(error.status);
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 1;
}
