/** The programs of Debian's packages, and what to install where one is missing. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Each version's programs are below it. */
export const POSTGRESQL = "/usr/lib/postgresql";
/** Where their packages put them. */
const FILES = { etcd: "/usr/bin/etcd", patroni: "/usr/bin/patroni", haproxy: "/usr/sbin/haproxy" };

export interface Programs {
  etcd: string;
  patroni: string;
  haproxy: string;
  /** The directory of PostgreSQL's programs, of the newest version that is installed; "" where none is. */
  bin: string;
}

/** Each is looked for where its package puts it. */
const NEEDED: readonly [name: string, file: () => string | undefined][] = [
  ["patroni", () => FILES.patroni],
  ["etcd-server", () => FILES.etcd],
  ["haproxy", () => FILES.haproxy],
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

/** The programs, whether they are there or not: to end what runs, none is needed. */
export const programs = (): Programs => ({ ...FILES, bin: newest() ?? "" });

/** Throws a sentence with the line that installs what is missing. */
export function findPrograms(missing = missingPackages()): Programs {
  if (missing.length > 0)
    throw new Error(
      `the cluster needs ${missing.join(", ")}. On Debian, as root: apt-get install -y ${missing.join(" ")}`,
    );
  return programs();
}
