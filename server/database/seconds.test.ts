import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { parseSeconds } from "./pool.ts";

test("parseSeconds reads what PostgreSQL writes", async (t) => {
  const { owner, drop } = await scratchDatabase();
  t.after(drop);
  const rows = await owner.begin(async (sql) => {
    await sql`set local IntervalStyle = iso_8601`;
    return sql`
      select to_json(i.value)#>>'{}' as text, extract(epoch from i.value)::text as seconds
      from (
        select timestamptz '2030-01-01Z' + s.difference - timestamptz '2030-01-01Z' as value
        from unnest(array['0', '0.000001 s', '-0.000001 s', '1 s', '59.999999 s', '-59.999999 s', '60 s', '3600 s',
          '3661.123456 s', '-3661.123456 s', '86400 s', '-86400 s', '90061.5 s', '-90061.5 s', '25 h', '31 days',
          '400 days 1 s', '-400 days -1 s', '7000 years']::interval[]) s (difference)
      ) i
    `;
  });
  assert.equal(rows.length, 19);
  for (const row of rows) assert.equal(parseSeconds(row["text"]), Number(row["seconds"]), row["text"]);
});
