/** ./sd psql: psql as coupon_admin. */
import { primaryOf } from "../../db/hosts.ts";
import type { Env } from "../env.ts";
import { calledFrom } from "./called.ts";
import { withExisting } from "./database.ts";
import { exitOf } from "./signals.ts";

export function psql(env: Env, args: string[]): Promise<number> {
  return withExisting(env, async (target) => {
    // Of a list libpq would take the first that calls itself primary, which after a failover may be the old one.
    const primary = await primaryOf(target);
    try {
      // The terminal sends Ctrl-C to psql itself, which cancels a statement.
      return await exitOf("psql", ["--pset=expanded=auto", "--pset=format=wrapped", ...args], {
        env: {
          ...process.env,
          ...primary.as("coupon_admin").libpqVariables(),
          PGAPPNAME: "coupon-psql",
          PGCLIENTENCODING: "UTF8", // files too, where \copy does not say it
        },
        ignored: "SIGINT",
        cwd: calledFrom(), // where \i, \copy and -f look for files
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
