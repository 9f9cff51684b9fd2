/** A coupon is used, and a use is undone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceToken } from "../../bench/harness/app.ts";
import { INSTANT, routesWorld } from "../../bench/harness/routes.ts";

const { world, asAdmin, asUser, holder, outcomeTests, wrongBodyTests } = routesWorld();

for (const [name, run] of outcomeTests("use_coupon", {
  coupon_not_found: async () => [
    await asUser(1, "POST /coupons/999999/use", { body: { reference: "r" } }),
    { coupon_id: 999_999, user_id: 1 },
  ],
  not_issued: async () => {
    const { coupon_id } = await holder(); // is somebody else
    const user_id = await world().newUser();
    return [
      await asUser(user_id, `POST /coupons/${coupon_id}/use`, { body: { reference: "r" } }),
      { coupon_id, user_id },
    ];
  },
  user_not_found: async () => {
    const ids = await holder();
    await asAdmin(`POST /users/${ids.user_id}/forget`);
    return [
      await asUser(ids.user_id, `POST /coupons/${ids.coupon_id}/use`, { body: { reference: "r" } }),
      { ...ids },
    ];
  },
  used: async () => {
    const { user_id, coupon_id } = await holder();
    const use = () => asUser(user_id, `POST /coupons/${coupon_id}/use`, { body: { reference: "order 7" } });
    const first = await use();
    const { used_date } = first.body;
    assert.match(used_date, INSTANT);
    assert.deepEqual((await use()).body, first.body);
    return [first, { coupon_id, user_id, used_date, use_reference: "order 7" }];
  },
  already_used: async () => {
    const ids = await holder("first");
    const answer = await asUser(ids.user_id, `POST /coupons/${ids.coupon_id}/use`, {
      body: { reference: "second" },
    });
    assert.match(answer.body.used_date, INSTANT);
    return [answer, { ...ids, used_date: answer.body.used_date, use_reference: "first" }];
  },
  expired: async () => {
    const ids = await holder();
    const { owner } = world().scratch;
    await owner.begin(async (sql) => {
      await sql`alter table coupon.user_coupons disable trigger user`;
      await sql`update coupon.user_coupons set issued_at = issued_at - interval '1 hour'
          where coupon_id = ${ids.coupon_id}`;
      await sql`update coupon.coupons set expiry = clock_timestamp() - interval '1 minute'
          where id = ${ids.coupon_id}`;
      await sql`alter table coupon.user_coupons enable trigger user`;
    });
    return [
      await asUser(ids.user_id, `POST /coupons/${ids.coupon_id}/use`, { body: { reference: "r" } }),
      { ...ids },
    ];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("undo_use", {
  coupon_not_found: async () => [
    await asAdmin("POST /coupons/999999/undo-use", { user_id: 1, reason: "r" }),
    { coupon_id: 999_999, user_id: 1 },
  ],
  not_issued: async () => {
    const { coupon_id } = await holder("order 9"); // is somebody else
    const user_id = await world().newUser();
    return [
      await asAdmin(`POST /coupons/${coupon_id}/undo-use`, { user_id, reason: "r" }),
      { coupon_id, user_id },
    ];
  },
  user_not_found: async () => {
    const ids = await holder("order 9");
    await asAdmin(`POST /users/${ids.user_id}/forget`);
    return [
      await asAdmin(`POST /coupons/${ids.coupon_id}/undo-use`, { user_id: ids.user_id, reason: "r" }),
      { ...ids },
    ];
  },
  not_used: async () => {
    const ids = await holder();
    return [
      await asAdmin(`POST /coupons/${ids.coupon_id}/undo-use`, { user_id: ids.user_id, reason: "r" }),
      { ...ids },
    ];
  },
  used_by_another: async () => {
    const { user_id, coupon_id } = await holder("order 8");
    return [
      await world().call(`POST /coupons/${coupon_id}/undo-use`, {
        token: serviceToken,
        body: { user_id, reason: "r" },
      }),
      { coupon_id, user_id },
    ];
  },
  restored: async () => {
    const ids = await holder("order 8");
    const answer = await asAdmin(`POST /coupons/${ids.coupon_id}/undo-use`, {
      user_id: ids.user_id,
      reason: "cancelled",
    });
    assert.match(answer.body.used_date, INSTANT);
    return [answer, { ...ids, used_date: answer.body.used_date, use_reference: "order 8" }];
  },
}))
  test(name, run);

for (const [name, run] of wrongBodyTests([
  ["reference missing", "POST /coupons/1/use", { user_id: 1 }, ["reference", "is needed"]],
  [
    "reference too long",
    "POST /coupons/1/use",
    { user_id: 1, reference: "r".repeat(201) },
    ["reference", "must have at most 200 characters"],
  ],
  ["reason empty", "POST /coupons/1/undo-use", { user_id: 1, reason: "" }, ["reason", "must not be empty"]],
  ["reason missing", "POST /coupons/1/undo-use", { user_id: 1 }, ["reason", "is needed"]],
]))
  test(name, run);
