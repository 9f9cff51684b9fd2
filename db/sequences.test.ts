import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../bench/harness/scratch.ts";
import { describe, isNothing, pendingOf } from "./pending.ts";
import { setUp } from "./setup.ts";

/** Rows as logical replication brings them: with their ids, past the guards, and without the sequences. */
async function replicated(t: { after(work: () => Promise<void>): void }) {
  const scratch = await scratchDatabase();
  t.after(scratch.drop);
  const { owner, admin } = scratch;
  await owner`alter table coupon.audit disable trigger user`;
  await owner`
    insert into coupon.coupons
      (id, code, message, description, start_time, expiry, time_zone, slot, count) overriding system value
    select n, 'C' || n, 'message', '', clock_timestamp() - n * interval '1 day', clock_timestamp() + interval '1 day', 'UTC', 1, 5
    from generate_series(1, 7) n`;
  await owner`insert into coupon.audit (id, command) overriding system value
    select n, 'create_coupon' from generate_series(1, 9) n`;
  await owner`alter table coupon.audit enable trigger user`;
  return {
    ...scratch,
    create: async (code: string) => {
      const [row] = await admin`
        select outcome, coupon_id::integer from create_coupon(
          ${code}::text, 'message', '', clock_timestamp() - interval '30 days', clock_timestamp() + interval '1 day', 5)`;
      return [row?.["outcome"], row?.["coupon_id"]];
    },
  };
}

test("rows that came without their sequences: nothing can be made, set-up says so and mends it", async (t) => {
  const { target, owner, create } = await replicated(t);
  await assert.rejects(create("PIZZA"), { code: "23505", constraint_name: "coupons_pkey" });
  const pending = await pendingOf(target);
  assert.equal(
    describe(pending).sequences,
    "behind their tables: coupon.audit_id_seq gives 1 next, and coupon.audit has rows up to 9; " +
      "coupon.coupons_id_seq gives 2 next, and coupon.coupons has rows up to 7",
  );
  assert.equal(isNothing({ ...pending, roles: [] }), false);

  const lines: string[] = [];
  await setUp(target, (line) => void lines.push(line));
  assert.deepEqual(lines.slice(-2), [
    "sequence coupon.audit_id_seq goes on after 9",
    "sequence coupon.coupons_id_seq goes on after 7",
  ]);
  assert.deepEqual(await create("PIZZA"), ["created", 8]);
  const [last] = await owner`select max(id)::integer as id from coupon.audit`;
  assert.equal(last?.["id"], 10);
  assert.equal(isNothing(await pendingOf(target)), true);
});

test("a sequence that is ahead is never put back", async (t) => {
  const { target, owner, create } = await replicated(t);
  await owner`select setval('coupon.coupons_id_seq', 70)`;
  await owner`select setval('coupon.audit_id_seq', 10, false)`;
  assert.equal(describe(await pendingOf(target)).sequences, undefined);
  await setUp(target);
  assert.deepEqual(await create("PIZZA"), ["created", 71]);
});

test("one that was set to the highest row, as if that were still to come", async (t) => {
  const { target, owner, create } = await replicated(t);
  await owner`select setval('coupon.coupons_id_seq', 7, false)`;
  await setUp(target);
  assert.deepEqual(await create("PIZZA"), ["created", 8]);
});
