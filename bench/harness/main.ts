/**
 * Runs a command with a server for databases to throw away, as ./sd test, bench, faults and fuzz do: SCRATCH_SERVER_URL's, which may
 * be "debian" or "debian:15" for a new one of Debian's PostgreSQL, "npm:15" to "npm:17" for one from npm, else the embedded one that all
 * runs share; with --durable before the command that one syncs to disk, as figures need it.
 */
import { join } from "node:path";
import { exitOf, heedSignals, Interrupted } from "../../server/commands/signals.ts";
import { readEnv } from "../../server/env.ts";
import { type ClusterServer, withLogin } from "./cluster.ts";
import { startDebian } from "./debian.ts";
import { startNpm } from "./npm-postgres.ts";
import { withSharedServer, withTemplate } from "./scratch.ts";

try {
  const given = process.argv.slice(2);
  const isDurable = given[0] === "--durable";
  const [command, ...args] = isDurable ? given.slice(1) : given;
  if (!command) throw new Error("no command");
  heedSignals();
  const run = (more: Record<string, string>) => exitOf(command, args, { env: { ...process.env, ...more } });
  const onServer = (url: string) => withTemplate(url, run);
  const onGiven = async (url: string) => {
    if (!/^postgres(ql)?:\/\//.test(url))
      throw new Error(
        "SCRATCH_SERVER_URL must be such as debian:15, npm:17 or postgres://…, of PostgreSQL 15 or newer",
      );
    // What is said of a URL names the variable that others give it by.
    return onServer(url).catch((error: Error) => {
      error.message = error.message.replaceAll(/\bDATABASE_URL/g, "SCRATCH_SERVER_URL");
      throw error;
    });
  };
  // A test that needs several servers starts them of the same version.
  const onCluster = (server: ClusterServer) =>
    withLogin(server, (url) => withTemplate(url, (more) => run({ ...more, SCRATCH_BIN: server.bin })));
  const server = process.env["SCRATCH_SERVER_URL"];
  const [name, version] = server?.split(":") ?? [];
  const { DATA_DIR } = readEnv();
  if (name === "debian") process.exitCode = await onCluster(await startDebian(undefined, version));
  else if (name === "npm") process.exitCode = await onCluster(await startNpm(version, DATA_DIR));
  else if (server) process.exitCode = await onGiven(server);
  else process.exitCode = await withSharedServer(join(DATA_DIR, "scratch"), isDurable, onServer);
} catch (error) {
  // A signal: what was running is not waited for.
  if (error instanceof Interrupted) process.exit(error.status);
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 1;
}
