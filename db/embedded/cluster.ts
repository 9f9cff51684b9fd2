/** The cluster: made by initdb, of the right version, with the role and the database that callers get. */
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { type Sql, withConnection } from "../connect.ts";
import { made, password } from "./files.ts";
import type { Place } from "./place.ts";
import { errorCode, failure, run } from "./run.ts";

export async function createCluster(place: Place, bin: string, log: (line: string) => void): Promise<void> {
  log(`creating a PostgreSQL cluster in ${place.cluster}`);
  const superuser = await password(join(place.root, "superuser.password"));
  await made(place.cluster, async (part) => {
    // The server's user cannot read superuser.password, so initdb gets a copy. It goes away with this directory.
    const [data, pwfile] = [join(part, "data"), join(part, "password")];
    await fs.mkdir(part, { mode: 0o700 });
    await fs.writeFile(pwfile, superuser, { mode: 0o600 });
    const { uid, gid } = place.account;
    if (uid !== undefined && gid !== undefined)
      for (const path of [pwfile, part]) await fs.chown(path, uid, gid);
    const locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
    const access = ["--auth=scram-sha-256", "--username=postgres", `--pwfile=${pwfile}`];
    try {
      await run(join(bin, "initdb"), ["-D", data, "--no-instructions", ...locale, ...access], place.account);
    } catch (error) {
      throw failure("initdb failed: remove its reason and start again, or set DATABASE_URL", error);
    }
    return data;
  });
}

export async function clusterVersion(cluster: string): Promise<string> {
  return (await fs.readFile(join(cluster, "PG_VERSION"), "utf8")).trim();
}

export async function requireVersion(cluster: string, version: string): Promise<void> {
  const [found, wanted] = [await clusterVersion(cluster), version.split(".")[0]];
  if (found === wanted) return;
  throw new Error(
    `${cluster} was made by PostgreSQL ${found}, this is ${wanted}: ` +
      "dump it with the old version and restore, or move it away to start empty",
  );
}

/** Makes role, password and database as callers expect them, whatever of it is missing. */
export async function bootstrap(place: Place, port: number, setup: string): Promise<void> {
  const superuser = await password(join(place.root, "superuser.password"));
  const url = `postgres://postgres:${superuser}@127.0.0.1:${port}/postgres?sslmode=disable`;
  try {
    const work = async (sql: Sql) => {
      const [has] = await sql`
        select
          exists (select from pg_roles where rolname = 'coupon_setup') as role,
          exists (select from pg_database where datname = 'coupon') as database
      `;
      const verb = has?.["role"] ? "alter" : "create";
      await sql.unsafe(`${verb} role coupon_setup login createrole createdb nosuperuser password '${setup}'`);
      if (!has?.["database"]) await sql`create database coupon owner coupon_setup`;
    };
    await withConnection(url, work, { fetchTypes: false });
  } catch (error) {
    const lost = `restore ${place.root}/superuser.password, or stop and move ${place.cluster} away to start empty`;
    throw failure(
      `the role coupon_setup cannot be set up (${errorCode(error)}): ${lost}`,
      (error as Error).cause ?? error,
    );
  }
}
