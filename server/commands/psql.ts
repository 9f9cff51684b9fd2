/** ./sd psql: psql as coupon_admin. */
import { roleUrl } from "../../db/connect.ts";
import type { Env } from "../env.ts";
import { withDatabase } from "./database.ts";
import { exitOf } from "./signals.ts";

export function psql(env: Env, args: string[]): Promise<number> {
  return withDatabase(env, async (url) => {
    try {
      // The terminal sends Ctrl-C to psql itself, which cancels a statement.
      return await exitOf("psql", ["--pset=expanded=auto", "--pset=format=wrapped", ...args], {
        env: { ...process.env, ...libpqVariables(roleUrl(url, "coupon_admin")) },
        ignored: "SIGINT",
      });
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      throw new Error(
        "psql is not on this machine: install it (Debian: apt-get install postgresql-client, macOS: brew install libpq), " +
          "or use ./sd sql 'select …'",
      );
    }
  });
}

/** In the environment, because everyone can read a command line. */
function libpqVariables(url: string): Record<string, string> {
  const { username, password, hostname, port, pathname, searchParams } = new URL(url);
  return {
    PGHOST: hostname.replace(/^\[|\]$/g, "") || "localhost", // an IPv6 address stands in brackets
    PGPORT: port || "5432",
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
    PGSSLMODE: searchParams.get("sslmode") ?? "prefer",
    PGAPPNAME: "coupon-psql",
  };
}
