import assert from "node:assert/strict";
import { test } from "node:test";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { readEnv } from "../env.ts";
import { sql } from "./sql.ts";

test("one statement as coupon_admin, its rows as psql draws them", async (t) => {
  const { setupUrl, drop } = await scratchDatabase();
  t.after(drop);
  const env = readEnv({ DATABASE_URL: setupUrl }, "");
  const statement = "select current_user, 1 as n, null as nothing, true as t, '{}'::jsonb as j";
  assert.deepEqual(await printed(t, () => sql(env, [statement])), [
    " current_user | n | nothing | t | j",
    "--------------+---+---------+---+----",
    " coupon_admin | 1 |         | t | {}",
    "(1 row)",
  ]);
  assert.deepEqual(await printed(t, () => sql(env, ["select 1 as n where false"])), [
    " n",
    "---",
    "(0 rows)",
  ]);
  const exact = `select '{"a": 750727362669608961}'::jsonb as j, timestamp '2026-11-28 01:02:03.456789' as at`;
  assert.deepEqual(
    (await printed(t, () => sql(env, [exact])))[2],
    ' {"a": 750727362669608961} | 2026-11-28 01:02:03.456789',
  );
  for (const [args, message] of [
    [["select 'B\ufffdr'"], "the statement is not UTF-8, or contains U+FFFD: write that one as chr(65533)"],
    [["select 1; select 2"], "cannot insert multiple commands into a prepared statement"],
    [["/* all */ -- of them\nCopy (select 1) to stdout"], 'copy needs psql: ./sd psql -c "copy …"'],
    [["copy coupon.incoming_users (user_id) from stdin"], 'copy needs psql: ./sd psql -c "copy …"'],
    [["selct 1"], 'syntax error at or near "selct"'],
    [[], 'give one statement: ./sd sql "select * from live_coupons()"'],
    [["select 1", "2"], 'give one statement: ./sd sql "select * from live_coupons()"'],
    [["delete from coupon.users"], "permission denied for table users"],
  ] as const)
    await assert.rejects(sql(env, [...args]), { message });
});
