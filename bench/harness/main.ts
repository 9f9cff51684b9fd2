/** Runs a command with a server for databases to throw away: what ./sd test, bench, faults and fuzz do. */
import { join } from "node:path";
import { exitOf, heedSignals, Interrupted } from "../../server/commands/signals.ts";
import { readEnv } from "../../server/env.ts";
import { withSharedServer, withTemplate } from "./scratch.ts";

try {
  const [command, ...args] = process.argv.slice(2);
  if (!command) throw new Error("no command");
  heedSignals();
  const run = (given: Record<string, string>) => exitOf(command, args, { env: { ...process.env, ...given } });
  const serverUrl = process.env["SCRATCH_SERVER_URL"];
  process.exitCode = serverUrl
    ? await withTemplate(serverUrl, run)
    : await withSharedServer(join(readEnv().DATA_DIR, "scratch"), (url) => withTemplate(url, run));
} catch (error) {
  // What was at work is left where it is.
  if (error instanceof Interrupted) process.exit(error.status);
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 1;
}
