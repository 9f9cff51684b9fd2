import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { type Command, outcomes } from "./outcomes.ts";

test("the outcomes of each command are its enum's values, in order", async (t) => {
  const { owner, drop } = await scratchDatabase();
  t.after(drop);
  const enums = await owner`
    select t.typname as name, array_agg(e.enumlabel::text order by e.enumsortorder) as values
    from pg_type t
    join pg_enum e on e.enumtypid = t.oid
    where t.typname like '%\\_outcome' and t.typnamespace = 'public'::regnamespace
    group by t.typname
  `;
  const declared = Object.fromEntries(enums.map((row) => [row["name"], row["values"]]));
  // Not a command of REST: set_time_zone() and import_incoming_users() are psql's, coupon_lease() the server's own;
  // import_users() answers a row a user, always with 200.
  const {
    set_time_zone_outcome: _,
    coupon_lease_outcome: __,
    import_users_outcome: ___,
    import_incoming_users_outcome: ____,
    ...commands
  } = declared;
  const ours = Object.entries(outcomes).map(([command, table]) => [`${command}_outcome`, Object.keys(table)]);
  assert.deepEqual(Object.fromEntries(ours), commands);
});

test("a status for each outcome", () => {
  const created = { create_coupon: "created", issue_coupon: "issued" };
  const replays = ["create_coupon already_created", "issue_coupon already_issued"];
  const done = [
    ...["use_coupon used", "undo_use restored"],
    ...["pause_coupon already_paused", "pause_coupon paused"],
    ...["resume_coupon not_paused", "resume_coupon resumed"],
    ...["set_coupon_count unchanged", "set_coupon_count changed"],
    ...["set_coupon_expiry unchanged", "set_coupon_expiry changed"],
  ];
  for (const [command, table] of Object.entries(outcomes)) {
    for (const [outcome, { status }] of Object.entries(table)) {
      const expected =
        created[command as Command & keyof typeof created] === outcome
          ? 201
          : [...replays, ...done].includes(`${command} ${outcome}`)
            ? 200
            : outcome.endsWith("_not_found")
              ? 404
              : 409;
      assert.equal(status, expected, `${command} ${outcome}`);
    }
  }
});

test("a sentence for each outcome", () => {
  for (const table of Object.values(outcomes))
    for (const [outcome, { detail }] of Object.entries(table))
      assert.match(detail, /^[A-Z][^\n]+\.$/, outcome);
});
