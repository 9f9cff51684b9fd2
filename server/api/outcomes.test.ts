import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { contract } from "./contract.ts";
import { EVENT_TYPES } from "./events.ts";
import { outcomes } from "./outcomes.ts";

test("the outcomes of each command, and the types of events, are their enums' values, in order", async (t) => {
  const { owner, drop } = await scratchDatabase();
  t.after(drop);
  const events = await owner`select unnest(enum_range(null::public.event_type))::text as type`;
  assert.deepEqual(
    EVENT_TYPES,
    events.map(({ type }) => type),
  );
  const enums = await owner`
    select t.typname as name, array_agg(e.enumlabel::text order by e.enumsortorder) as values
    from pg_type t
    join pg_enum e on e.enumtypid = t.oid
    where t.typname like '%\\_outcome' and t.typnamespace = 'public'::regnamespace
    group by t.typname
  `;
  const declared = Object.fromEntries(enums.map((row) => [row["name"], row["values"]]));
  // Not a command of REST: set_time_zone(), import_incoming_users(), record_key() and what is done to secrets are psql's, coupon_leases() and
  // resolve_subjects() the server's own.
  const {
    set_time_zone_outcome: _,
    coupon_leases_outcome: __,
    import_incoming_users_outcome: ___,
    rotate_claim_secret_outcome: ____,
    retire_claim_secret_outcome: _____,
    resolve_subjects_outcome: ______,
    record_key_outcome: _______,
    import_users_outcome: ofUsers,
    fill_days_outcome: ofPlanned,
    add_to_group_outcome: ofAdded,
    remove_from_group_outcome: ofRemoved,
    ...commands
  } = declared;
  const ours = Object.entries(outcomes).map(([command, table]) => [`${command}_outcome`, Object.keys(table)]);
  assert.deepEqual(Object.fromEntries(ours), commands);
  // A row a user, and a row a coupon, always with 200.
  assert.deepEqual(contract.importUsers.answer.shape.users.element.shape.outcome.options, ofUsers);
  assert.deepEqual(contract.addToGroup.answer.shape.users.element.shape.outcome.options, ofAdded);
  assert.deepEqual(contract.removeFromGroup.answer.shape.users.element.shape.outcome.options, ofRemoved);
  assert.deepEqual(contract.fillDays.answer.shape.coupons.element.shape.outcome.options, ofPlanned);
});
