/** Files and directories that are there as a whole or not at all. */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorCode, run, succeeds } from "./run.ts";

/**
 * Makes a directory as a whole: `work` makes it in `part` and returns the path to keep, which then gets its name. It also
 * removes what a killed run has left; the lock makes sure that nobody else is at work here.
 */
export async function made(path: string, work: (part: string) => Promise<string>): Promise<void> {
  const [home, prefix] = [dirname(path), `${basename(path)}.part-`];
  // An initdb that outlived its caller may still write there, hence the retries.
  const remove = async (part: string) => {
    await succeeds(run("chmod", ["-R", "u+w", part], {}));
    await fs.rm(part, { recursive: true, force: true, maxRetries: 10 });
  };
  for (const name of await fs.readdir(home)) if (name.startsWith(prefix)) await remove(join(home, name));
  const part = join(home, prefix + randomBytes(6).toString("hex"));
  try {
    await fs.rename(await work(part), path);
    const directory = await fs.open(home);
    await directory.sync().finally(() => directory.close());
  } finally {
    await remove(part);
  }
}

/**
 * Makes a directory and those above it, unless it is there. It has its mode from the beginning: another process may open it to PostgreSQL's
 * user as soon as it is there, which a later chmod would undo. Node.js's own recursive mkdir (20.20.2, 24.22.3; no report is
 * known) never ends where nothing can be made, as in /proc.
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  const make = async () => {
    try {
      await fs.mkdir(path, { mode });
    } catch (error) {
      if (errorCode(error) !== "EEXIST" || !(await fs.stat(path)).isDirectory()) throw error;
    }
  };
  await make().catch(async (error) => {
    if (errorCode(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await make();
  });
}

/** A random 256-bit password, kept in a file that only the invoking user can read. It is made when there is none. */
export async function password(path: string): Promise<string> {
  const kept = (await readIfThere(path)).trim();
  if (/^[0-9a-f]{64}$/.test(kept)) return kept;
  const fresh = randomBytes(32).toString("hex");
  await fs.writeFile(`${path}.part`, fresh, { mode: 0o600, flush: true });
  await fs.rename(`${path}.part`, path);
  return fresh;
}

/** The text of a file, "" when it is not there. */
export async function readIfThere(path: string): Promise<string> {
  try {
    return await fs.readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}
