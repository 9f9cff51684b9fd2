/** The service against a model of it, in short: random commands go to both, and every answer is compared. bench/harness/model says how. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DAY, dayAgo, NOW } from "../bench/harness/model/commands.ts";
import { asked, UNDRAWN } from "../bench/harness/model/functions.ts";
import { allAtOnce, type Call, isExplained, oneAfterAnother } from "../bench/harness/model/runs.ts";
import { service } from "../bench/harness/model/service.ts";
import { emptyModel, type Model } from "../bench/harness/model/state.ts";

test("one after another: every answer is the model's", async (t) => {
  await fc.assert(oneAfterAnother(await service(t)), { numRuns: 30 });
});

test("all at once: some order of the model explains every answer", async (t) => {
  // The same commands may race another way the next time, so there is nothing to shrink.
  await fc.assert(allAtOnce(await service(t)), { numRuns: 40, endOnFailure: true });
});

test("the model knows every function, but for those that have a reason", async (t) => {
  const { scratch } = await service(t);
  const names = await scratch.admin`
    select p.proname::text as name from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.proname`;
  const known = asked();
  assert.deepEqual(
    names.map(({ name }) => name).filter((name) => !known.has(name)),
    Object.keys(UNDRAWN).sort(),
  );
});

test("the search refuses histories that no order explains", () => {
  const model = (): Model => ({
    ...emptyModel(),
    names: { 1: "Ann", 2: "Ben" },
    // biome-ignore format: a row
    coupons: [{ coupon_id: 1, code: "A", message: "m", description: "d", metadata: {}, start: NOW - DAY, expiry: NOW + DAY, count: 1, issued: 0, paused: false, slot: 1, group: null, from: null, asked: [], reason: null }],
  });
  const claimed = (user: number, outcome: string, position: number | null, start: number): Call => {
    const [issued_on, issued_at] = position ? [dayAgo(0), "00:00:01"] : [null, null];
    const rows = [{ outcome, position, issued_on, issued_at }];
    return { session: user, command: { call: "issue_coupon", user, coupon: 1 }, rows, start, end: start + 2 };
  };
  const explained = (...calls: Call[]) => isExplained(calls, model());
  assert.equal(explained(claimed(1, "issued", 1, 0), claimed(2, "sold_out", null, 1)), true);
  assert.equal(explained(claimed(1, "issued", 1, 1), claimed(2, "sold_out", null, 0)), true);
  assert.equal(explained(claimed(1, "issued", 1, 3), claimed(2, "sold_out", null, 0)), false); // it wasn't yet
  assert.equal(explained(claimed(1, "issued", 1, 0), claimed(2, "issued", 1, 1)), false);
  assert.equal(explained(claimed(1, "issued", 1, 0), claimed(2, "issued", 2, 1)), false);
  assert.equal(explained(claimed(1, "already_issued", 1, 0)), false);
});
