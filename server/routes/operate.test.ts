/** A coupon is paused, resumed, restocked and given another end, and the audit tells who did what and why. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceToken } from "../../bench/harness/app.ts";
import { offer, routesWorld, type Wrong } from "../../bench/harness/routes.ts";

const { world, asAdmin, asAdminGet, asUser, holder, outcomeTests, wrongBodyTests } = routesWorld();

for (const [name, run] of outcomeTests("pause_coupon", {
  coupon_not_found: async () => [await asAdmin("POST /coupons/999999/pause"), { coupon_id: 999_999 }],
  paused: async () => {
    const coupon_id = await world().newCoupon();
    return [await asAdmin(`POST /coupons/${coupon_id}/pause`), { coupon_id }];
  },
  already_paused: async () => {
    const coupon_id = await world().newCoupon();
    await asAdmin(`POST /coupons/${coupon_id}/pause`);
    return [await asAdmin(`POST /coupons/${coupon_id}/pause`), { coupon_id }];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("resume_coupon", {
  coupon_not_found: async () => [await asAdmin("POST /coupons/999999/resume"), { coupon_id: 999_999 }],
  not_paused: async () => {
    const coupon_id = await world().newCoupon();
    return [await asAdmin(`POST /coupons/${coupon_id}/resume`), { coupon_id }];
  },
  resumed: async () => {
    const coupon_id = await world().newCoupon();
    await asAdmin(`POST /coupons/${coupon_id}/pause`);
    return [await asAdmin(`POST /coupons/${coupon_id}/resume`), { coupon_id }];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("set_coupon_count", {
  coupon_not_found: async () => [
    await asAdmin("POST /coupons/999999/count", { count: 1 }),
    { coupon_id: 999_999 },
  ],
  unchanged: async () => {
    const { coupon_id } = await holder();
    return [
      await asAdmin(`POST /coupons/${coupon_id}/count`, { count: 10 }),
      { coupon_id, issued: 1, remaining: 9 },
    ];
  },
  below_issued: async () => {
    const { coupon_id } = await holder();
    await world().issue(coupon_id, await world().newUser());
    return [
      await asAdmin(`POST /coupons/${coupon_id}/count`, { count: 1 }),
      { coupon_id, issued: 2, remaining: 8 },
    ];
  },
  count_taken: async () => {
    await asAdmin("POST /coupons", offer("ROW-1", "2030-01-07"));
    const { coupon_id } = (
      await asAdmin("POST /coupons", {
        ...offer("ROW-2", "2030-01-07"),
        start_time: "2030-01-07T09:00:00Z",
        count: 5,
      })
    ).body;
    return [
      await asAdmin(`POST /coupons/${coupon_id}/count`, { count: 1 }),
      { coupon_id, issued: 0, remaining: 5 },
    ];
  },
  changed: async () => {
    const { coupon_id } = await holder();
    return [
      await asAdmin(`POST /coupons/${coupon_id}/count`, { count: 12 }),
      { coupon_id, issued: 1, remaining: 11 },
    ];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("set_coupon_expiry", {
  coupon_not_found: async () => [
    await asAdmin("POST /coupons/999999/expiry", { expiry: "2031-01-01T00:00:00Z" }),
    { coupon_id: 999_999 },
  ],
  unchanged: async () => {
    const coupon_id = await world().newCoupon();
    const { expiry } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    return [await asAdmin(`POST /coupons/${coupon_id}/expiry`, { expiry }), { coupon_id }];
  },
  not_after_start: async () => {
    const coupon_id = await world().newCoupon();
    const { start_time } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    return [await asAdmin(`POST /coupons/${coupon_id}/expiry`, { expiry: start_time }), { coupon_id }];
  },
  in_the_past: async () => {
    const coupon_id = await world().newCoupon({ from: "-3 years" });
    const { server_time } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    return [await asAdmin(`POST /coupons/${coupon_id}/expiry`, { expiry: server_time }), { coupon_id }];
  },
  changed: async () => {
    const coupon_id = await world().newCoupon();
    const answer = await asAdmin(`POST /coupons/${coupon_id}/expiry`, {
      expiry: "2031-01-01T00:00:00+02:00",
    });
    const { expiry } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    assert.equal(expiry, "2030-12-31T22:00:00.000000Z");
    return [answer, { coupon_id }];
  },
}))
  test(name, run);

test("what is changed is in the audit: who by the token, through which login, and why", async () => {
  const audited = async (work: () => Promise<unknown>) => {
    const { owner } = world().scratch;
    const [last] = await owner`select coalesce(max(id), 0) as id from coupon.audit`;
    await work();
    const added = await owner`
      select command, login, actor, reason, coupon_id::integer, user_id::integer
      from coupon.audit where id > ${last?.["id"]} order by id`.values();
    return [...added].map((row) => [...row]);
  };
  const { coupon_id, user_id } = await holder();
  const at = (command: string) => `/coupons/${coupon_id}/${command}`;
  const expiry = "2031-01-01T00:00:00Z";
  const users = [{ user_id: 8_100_000, display_name: "Ann" }];
  const why = { reason: "because, 🎟" };
  const admins: [route: string, command: string, body: object, ...about: (number | null)[]][] = [
    ["POST /coupons", "create_coupon", offer("AUDITED", "2030-04-01"), 0, null],
    [`POST ${at("pause")}`, "pause_coupon", {}, coupon_id, null],
    [`POST ${at("resume")}`, "resume_coupon", {}, coupon_id, null],
    [`POST ${at("count")}`, "set_coupon_count", { count: 77 }, coupon_id, null],
    [`POST ${at("expiry")}`, "set_coupon_expiry", { expiry }, coupon_id, null],
    ["POST /users", "import_users", { users }, null, null],
  ];
  for (const [route, command, body, about, user] of admins) {
    let answer: Awaited<ReturnType<typeof asAdmin>> | undefined;
    const given = { ...body, ...why };
    const added = await audited(async () => {
      answer = await asAdmin(route, given);
    });
    const coupon = about === 0 ? answer?.body.coupon_id : about;
    assert.deepEqual(added, [[command, "coupon_api", "admin:root", why.reason, coupon, user]], command);
    assert.deepEqual(await audited(() => asAdmin(route, given)), [], `${command} again`);
  }
  const token = serviceToken;
  const used = () => world().call(`POST ${at("use")}`, { token, body: { user_id, reference: "r" } });
  const undo = () => asAdmin(`POST ${at("undo-use")}`, { user_id, ...why });
  const use = ["use_coupon", "coupon_api", "service:shop", null, coupon_id, user_id];
  assert.deepEqual(await audited(used), [use]);
  const undone = ["undo_use", "coupon_api", "admin:root", why.reason, coupon_id, user_id];
  assert.deepEqual(await audited(undo), [undone]);
  const itself = () => asUser(user_id, `POST ${at("use")}`, { body: { reference: "r" } });
  assert.deepEqual(await audited(itself), [use.with(2, `user:${user_id}`)]);
  await undo();
  assert.deepEqual(await audited(() => asAdmin(`POST ${at("pause")}`)), [
    ["pause_coupon", "coupon_api", "admin:root", null, coupon_id, null],
  ]);
});

const coupon = offer("WRONG", "2030-03-01");
for (const [name, run] of wrongBodyTests([
  ...Object.entries({
    "POST /coupons": coupon,
    "POST /coupons/1/pause": {},
    "POST /coupons/1/resume": {},
    "POST /coupons/1/count": { count: 1 },
    "POST /coupons/1/expiry": { expiry: "2031-01-01T00:00:00Z" },
    "POST /users": { users: [{ user_id: 1, display_name: "n" }] },
  }).map(
    ([route, given]): Wrong => [
      `${route} with too long a reason`,
      route,
      { ...given, reason: "r".repeat(501) },
      ["reason", "must have at most 500 characters"],
    ],
  ),
]))
  test(name, run);
