/** Debian's PostgreSQL, of any version that is installed. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type ClusterServer, startCluster } from "./cluster.ts";

const HOME = "/usr/lib/postgresql";

/** The versions that are installed, the newest first. */
const versions: readonly string[] = existsSync(HOME)
  ? readdirSync(HOME)
      .filter((version) => existsSync(join(binOf(version), "postgres")))
      .sort((a, b) => Number(b) - Number(a))
  : [];

/** The newest version's programs. */
export const bin = binOf(versions[0] ?? "none");

/** The options of a test that needs it. */
export const options = { skip: versions.length === 0 ? "needs Debian's postgresql package" : false };

function binOf(version: string): string {
  return join(HOME, version, "bin");
}

/** Starts a server on a new cluster; `access` are the lines of its pg_hba.conf. */
export async function startDebian(access?: readonly string[], version = versions[0]): Promise<ClusterServer> {
  if (Number(version) < 15)
    throw new Error(`SCRATCH_SERVER_URL: PostgreSQL ${version} is too old: 15 is the oldest that serves`);
  if (version === undefined || !versions.includes(version))
    throw new Error(
      `${HOME} has no PostgreSQL ${version ?? ""}: apt-get install postgresql-${version ?? 15}`,
    );
  return startCluster(binOf(version), access);
}
