/** What tests of set-up share: a PostgreSQL with the login `shop`, who is no superuser and may create roles. */
import { readdir } from "node:fs/promises";
import { type Sql, withConnection } from "../../db/connect.ts";
import { SOURCES } from "../../db/setup.ts";
import type { Target } from "../../db/target.ts";
import { startCluster } from "./cluster.ts";
import { createThings } from "./coupons.ts";
import { bin } from "./debian.ts";

/** Has characters that a URL must encode, that a shell expands, and that end a string in SQL. */
export const PASSWORD = `it's "100%" $HOME/@:?#&=\\ é`;

export interface Shop {
  superuser: Target;
  /** Makes a database and returns it, with `shop` as the login. */
  newDatabase(name: string, how?: string): Promise<Target>;
}

/** Starts a server, of the version that SCRATCH_SERVER_URL names or else Debian's; `access` are the lines of its pg_hba.conf. */
export async function startShop(access?: string[]): Promise<Shop> {
  const { target: superuser } = await startCluster(process.env["SCRATCH_BIN"] ?? bin, access);
  const literal = PASSWORD.replaceAll("'", "''");
  await run(superuser, `create role shop login createrole nosuperuser password '${literal}'`);
  return {
    superuser,
    async newDatabase(name, how = "owner shop encoding 'UTF8'") {
      await run(superuser, `create database ${name} ${how} template template0`);
      return superuser.withLogin("shop", PASSWORD).on(name);
    },
  };
}

/** Runs one statement or more. */
export function run(target: Target, statements: string): Promise<unknown> {
  return withConnection(target, (sql) => sql.unsafe(statements).simple());
}

export function rows(target: Target, statement: string): Promise<unknown[][]> {
  return withConnection(target, async (sql: Sql) => [...(await sql.unsafe(statement).values())]);
}

/** Makes a live coupon of 10 and the users 1 to 3. */
export async function stock(target: Target): Promise<void> {
  await withConnection(target.as("coupon_admin"), async (admin) => {
    const { newUsers, newCoupon } = createThings(admin);
    await newUsers(3);
    await newCoupon({ count: 10 });
  });
}

export const SCHEMA_VERSIONS = "select version from coupon.schema_migrations order by version";

/** What that finds where all migrations were applied. */
export async function allVersions(): Promise<string[][]> {
  const files = await readdir(SOURCES.migrations);
  return files.sort().map((file) => [file.slice(0, file.indexOf("_"))]);
}
