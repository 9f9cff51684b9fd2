import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../bench/harness/scratch.ts";
import { withConnection, withSession } from "./connect.ts";
import { onTrial } from "./trial.ts";

test("a trial whose session is ended in the middle: nothing of the rest is done", async (t) => {
  const { target, owner, drop } = await scratchDatabase();
  t.after(drop);
  const tried = withSession(target, (sql) =>
    onTrial(sql, target, async () => {
      await sql`create schema before`;
      const [session] = await sql`select pg_backend_pid() as pid`;
      await withConnection(
        target,
        (other) => other`select pg_terminate_backend(${session?.["pid"]}::integer, 5000)`,
      );
      // The first may be on its way when the session ends; the driver would run the second one in another session, for good.
      await sql`create schema first`.catch(() => {});
      await sql`create schema second`;
    }),
  );
  await assert.rejects(tried, { message: `${target.host} closed the connection: see its log` });
  const rows = await owner`select nspname from pg_namespace where nspname in ('before', 'first', 'second')`;
  assert.deepEqual([...rows], []);
});
