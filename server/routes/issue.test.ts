/** A coupon is issued, or why not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem } from "../../bench/harness/app.ts";
import { INSTANT, invalid, NOBODY, routesWorld, type Wrong } from "../../bench/harness/routes.ts";
import { withinAQuarter } from "../../bench/harness/waiting.ts";

const { world, asAdmin, asAdminGet, holder, outcomeTests, wrongBodyTests } = routesWorld();

for (const [name, run] of outcomeTests("issue_coupon", {
  coupon_not_found: async () => [await world().issue(999_999, 1), { coupon_id: 999_999, user_id: 1 }],
  issued: async () => {
    const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon()];
    const answer = await world().issue(coupon_id, user_id);
    assert.match(answer.body.issued_at, INSTANT);
    const { issued_at } = answer.body;
    return [answer, { coupon_id, user_id, position: 1, issued_on: issued_at.slice(0, 10), issued_at }];
  },
  already_issued: async () => {
    const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon({ count: 1 })];
    const { outcome: _, ...first } = (await world().issue(coupon_id, user_id)).body;
    return [await world().issue(coupon_id, user_id), first];
  },
  not_started: async () => {
    const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon({ from: "1 hour" })];
    const answer = await world().issue(coupon_id, user_id);
    const { starts_in } = answer.body;
    assert.ok(starts_in > 3_000 && starts_in < 3_600);
    assert.equal(answer.headers.get("retry-after"), `${Math.ceil(starts_in)}`);
    return [answer, { coupon_id, user_id, starts_in }];
  },
  ended: async () => {
    const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon({ until: "-1 second" })];
    return [await world().issue(coupon_id, user_id), { coupon_id, user_id }];
  },
  paused: async () => {
    const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon()];
    await asAdmin(`POST /coupons/${coupon_id}/pause`);
    return [await world().issue(coupon_id, user_id), { coupon_id, user_id }];
  },
  sold_out: async () => {
    const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon({ count: 1 })];
    const { issued_at } = (await world().issue(coupon_id, await world().newUser())).body;
    const answer = await world().issue(coupon_id, user_id);
    const { time_to_sell_out, start_time } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    assert.ok(Math.abs(time_to_sell_out - (Date.parse(issued_at) - Date.parse(start_time)) / 1000) <= 0.001);
    return [answer, { coupon_id, user_id, sold_out_at: issued_at, time_to_sell_out }];
  },
  user_not_found: async () => {
    const coupon_id = await world().newCoupon();
    return [await world().issue(coupon_id, NOBODY), { coupon_id, user_id: NOBODY }];
  },
  daily_limit_reached: () =>
    withinAQuarter(async () => {
      const { user_id } = await holder();
      const coupon_id = await world().newCoupon();
      const answer = await world().issue(coupon_id, user_id);
      assert.equal(answer.status, 409);
      return [answer, { coupon_id, user_id }];
    }),
}))
  test(name, run);

for (const [name, run] of wrongBodyTests([
  ...(
    [
      ["7", "must be a number"],
      [0, "must be at least 1"],
      [-1, "must be at least 1"],
      [1.5, "must be a whole number"],
      [2 ** 53, "must be at most 9007199254740991"],
    ] as const
  ).map(
    ([user_id, why]): Wrong => [
      `user_id ${JSON.stringify(user_id)}`,
      "POST /coupons/1/issue",
      { user_id },
      ["user_id", why],
    ],
  ),
]))
  test(name, run);

test("400: a path id before a body", async () =>
  assertProblem(
    await asAdmin("POST /coupons/x/issue", { x: 1 }),
    400,
    invalid(["coupon_id", "must be a whole number from 1"]),
  ));
