/** The programs of Debian's packages, and what to install where one is missing. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const POSTGRESQL = "/usr/lib/postgresql";

export interface Programs {
  etcd: string;
  patroni: string;
  haproxy: string;
  /** The directory of PostgreSQL's programs, of the newest version that is installed. */
  bin: string;
}

/** Each is looked for where its package puts it. */
const NEEDED: readonly [name: string, file: () => string | undefined][] = [
  ["patroni", () => "/usr/bin/patroni"],
  ["etcd-server", () => "/usr/bin/etcd"],
  ["haproxy", () => "/usr/sbin/haproxy"],
  ["postgresql", newest],
  // Patroni's way to PostgreSQL; its package leaves the choice between two.
  ["python3-psycopg2", () => "/usr/lib/python3/dist-packages/psycopg2"],
];

function newest(): string | undefined {
  if (!existsSync(POSTGRESQL)) return undefined;
  const versions = readdirSync(POSTGRESQL).filter((name) =>
    existsSync(join(POSTGRESQL, name, "bin/postgres")),
  );
  const [version] = versions.sort((a, b) => Number(b) - Number(a));
  return version && join(POSTGRESQL, version, "bin");
}

/** The packages that are missing. */
export function missingPackages(needed = NEEDED): string[] {
  return needed.filter(([, file]) => !existsSync(file() ?? "")).map(([name]) => name);
}

/** Throws a sentence with the line that installs what is missing. */
export function findPrograms(missing = missingPackages()): Programs {
  if (missing.length > 0)
    throw new Error(
      `the cluster needs ${missing.join(", ")}. On Debian, as root: apt-get install -y ${missing.join(" ")}`,
    );
  return {
    etcd: "/usr/bin/etcd",
    patroni: "/usr/bin/patroni",
    haproxy: "/usr/sbin/haproxy",
    bin: newest() as string,
  };
}
