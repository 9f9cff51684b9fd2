/**
 * ./sd test: finds the test files, runs them in groups, a process each, and reports.
 *
 *   ./sd test               every test but those in files named *.long.test.ts
 *   ./sd test --all         those too: set-up, commands, faults, fuzz, clusters of processes, browsers
 *   ./sd test sql db/a.ts   the files of a folder, and one file
 */
import { setMaxListeners } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";
import { groupsOf, withModules } from "./groups.ts";
import { report } from "./reporter.ts";

const FOLDERS = ["bench", "db", "server", "sql"];

/** More than there are cores, because they wait for each other's locks, for deadlines and for PostgreSQL. */
const AT_ONCE = 4;

/** Only for a test that hangs: node gives it to a whole process, and a busy machine may take ten times as long as a quiet one. */
const GROUP_TIMEOUT_MS = 600_000;

function filesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".test.ts")).map((name) => join(folder, name));
}

function chosen(args: string[]): string[] {
  const [first] = args;
  if (first === undefined) return FOLDERS.flatMap(filesIn).filter((name) => !name.endsWith(".long.test.ts"));
  if (first === "--all" && args.length === 1) return FOLDERS.flatMap(filesIn);
  return args.flatMap((path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found) throw new Error(`there is no test file or folder ${path}`);
    return found.isDirectory() ? filesIn(path) : [path];
  });
}

const stopping = new AbortController();
setMaxListeners(0, stopping.signal); // node listens once a process
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    process.exitCode = 1;
    stopping.abort();
  });

try {
  const files = chosen(process.argv.slice(2));
  if (files.length === 0) throw new Error("there are no test files");
  await withModules(groupsOf(files.map((file) => relative("", file))), async (modules) => {
    const events = run({
      files: [...modules.keys()],
      concurrency: AT_ONCE,
      timeout: GROUP_TIMEOUT_MS,
      signal: stopping.signal,
    });
    for await (const text of report(events, modules)) process.stdout.write(text);
  });
  if (stopping.signal.aborted) console.error("sd: stopped by a signal; not every test ran");
} catch (error) {
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 1;
}
