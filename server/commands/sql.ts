/** ./sd sql: runs one statement as coupon_admin and prints its rows, where there is no psql. */
import { withConnection } from "../../db/connect.ts";
import type { Env } from "../env.ts";
import { withSetUp } from "./database.ts";
import { printTable } from "./print.ts";

// By the extended protocol PostgreSQL itself refuses several statements. The driver (postgres 3.4.9) knows `simple`, its types don't.
const ONE_STATEMENT = { prepare: false, simple: false };

/** The driver (postgres 3.4.9) has streams for it: of what is copied out nobody would be told, and copying in ends the process. */
const COPY = /^(?:\s|--.*\n|\/\*[\s\S]*?\*\/)*copy\b/i;

export async function sql(env: Env, args: string[]): Promise<number> {
  const [statement, ...more] = args;
  if (!statement || more.length > 0)
    throw new Error('give one statement: ./sd sql "select * from live_coupons()"');
  if (statement.includes("\ufffd"))
    throw new Error("the statement is not UTF-8, or contains U+FFFD: write that one as chr(65533)");
  if (COPY.test(statement)) throw new Error('copy needs psql: ./sd psql -c "copy …"');
  await withSetUp(env, (target) =>
    withConnection(
      target.as("coupon_admin"),
      async (connection) => {
        // Raw: as PostgreSQL writes each value. A number or a time of JavaScript would have lost digits.
        const rows = await connection.unsafe(statement, [], ONE_STATEMENT).raw();
        const names: string[] = (rows.columns ?? []).map((column) => column.name);
        printTable(names, rows as unknown as (Buffer | null)[][]);
      },
      { fetchTypes: false },
    ),
  );
  return 0;
}
