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
    await asAdmin("POST /coupons", offer("ROW-1", "2058-01-07"));
    const { coupon_id } = (
      await asAdmin("POST /coupons", {
        ...offer("ROW-2", "2058-01-07"),
        start_time: "2058-01-07T09:00:00Z",
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
    await asAdmin("POST /coupons/999999/expiry", { expiry: "2059-01-01T00:00:00Z" }),
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
      expiry: "2059-01-01T00:00:00+02:00",
    });
    const { expiry } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    assert.equal(expiry, "2058-12-31T22:00:00.000000Z");
    return [answer, { coupon_id }];
  },
}))
  test(name, run);

/** An upcoming coupon of this day, with this many units. */
async function upcoming(code: string, day: string, given: object = {}): Promise<number> {
  const { status, body } = await asAdmin("POST /coupons", { ...offer(code, day), ...given });
  assert.equal(status, 201);
  return body.coupon_id;
}

for (const [name, run] of outcomeTests("set_coupon_start", {
  coupon_not_found: async () => [
    await asAdmin("POST /coupons/999999/start", { start_time: "2058-05-01T10:00:00Z" }),
    { coupon_id: 999_999 },
  ],
  unchanged: async () => {
    const coupon_id = await upcoming("START-1", "2058-05-01");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2058-05-01T12:00:00+02:00" }),
      { coupon_id, live_on: "2058-05-01", slot: 1 },
    ];
  },
  already_started: async () => {
    const coupon_id = await world().newCoupon();
    const answer = await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2058-05-02T10:00:00Z" });
    return [answer, { coupon_id, live_on: answer.body.live_on, slot: 1 }];
  },
  in_the_past: async () => {
    const coupon_id = await upcoming("START-2", "2058-05-03");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2001-05-03T10:00:00Z" }),
      { coupon_id, live_on: "2058-05-03", slot: 1 },
    ];
  },
  not_after_eligible_from: async () => {
    const coupon_id = await upcoming("START-10", "2058-05-12");
    const group = { group_name: "regulars", eligible_from: "2058-05-12T09:00:00Z" };
    assert.equal((await asAdmin(`POST /coupons/${coupon_id}/group`, group)).body.warning, "empty_group");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2058-05-12T09:00:00Z" }),
      { coupon_id, live_on: "2058-05-12", slot: 1 },
    ];
  },
  not_before_expiry: async () => {
    const coupon_id = await upcoming("START-3", "2058-05-04");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2059-01-01T00:00:00Z" }),
      { coupon_id, live_on: "2058-05-04", slot: 1 },
    ];
  },
  start_time_taken: async () => {
    const taken_by = await upcoming("START-4", "2058-05-05");
    const coupon_id = await upcoming("START-5", "2058-05-06");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2058-05-05T10:00:00Z" }),
      { coupon_id, live_on: "2058-05-06", slot: 1, taken_by },
    ];
  },
  count_taken: async () => {
    const taken_by = await upcoming("START-6", "2058-05-07");
    const coupon_id = await upcoming("START-7", "2058-05-08");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2058-05-07T11:00:00Z" }),
      { coupon_id, live_on: "2058-05-08", slot: 1, taken_by },
    ];
  },
  day_full: async () => {
    for (const count of [1, 2, 3])
      await upcoming(`FULL-DAY-${count}`, "2058-05-09", { start_time: `2058-05-09T0${count}:00:00Z`, count });
    const coupon_id = await upcoming("START-8", "2058-05-10", { count: 4 });
    return [
      await asAdmin(`POST /coupons/${coupon_id}/start`, { start_time: "2058-05-09T10:00:00Z" }),
      { coupon_id, live_on: "2058-05-10", slot: 1 },
    ];
  },
  changed: async () => {
    const coupon_id = await upcoming("START-9", "2058-05-11");
    const answer = await asAdmin(`POST /coupons/${coupon_id}/start`, {
      start_time: "2058-12-31T23:59:30Z",
    });
    const { start_time } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    assert.equal(start_time, "2058-12-31T23:59:30.000000Z");
    return [answer, { coupon_id, live_on: "2058-12-31", slot: 1, warning: "short_lived" }];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("edit_coupon", {
  coupon_not_found: async () => [
    await asAdmin("POST /coupons/999999/edit", { message: "m" }),
    { coupon_id: 999_999 },
  ],
  unchanged: async () => {
    const coupon_id = await upcoming("EDIT-1", "2058-06-01");
    return [
      await asAdmin(`POST /coupons/${coupon_id}/edit`, { code: "EDIT-1", message: "m" }),
      { coupon_id },
    ];
  },
  already_started: async () => {
    const coupon_id = await world().newCoupon();
    return [await asAdmin(`POST /coupons/${coupon_id}/edit`, { code: "EDIT-2" }), { coupon_id }];
  },
  code_taken: async () => {
    const taken_by = await upcoming("EDIT-3", "2058-06-03");
    const coupon_id = await upcoming("EDIT-4", "2058-06-04");
    return [await asAdmin(`POST /coupons/${coupon_id}/edit`, { code: "edit-3" }), { coupon_id, taken_by }];
  },
  changed: async () => {
    const coupon_id = await upcoming("EDIT-5", "2058-06-05");
    const given = { code: "EDIT-6", message: "Soup", description: "", metadata: { a: 1 } };
    const answer = await asAdmin(`POST /coupons/${coupon_id}/edit`, { ...given, reason: "a slip" });
    const { code, message, description, metadata } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
    assert.deepEqual({ code, message, description, metadata }, given);
    return [answer, { coupon_id }];
  },
}))
  test(name, run);

test("metadata that is edited keeps all digits of its numbers", async () => {
  const coupon_id = await upcoming("DIGITS", "2058-06-06");
  const body = '{"metadata": {"id": 12345678901234567890}}';
  assert.equal((await asAdmin(`POST /coupons/${coupon_id}/edit`, body)).status, 200);
  const { owner } = world().scratch;
  const [row] = await owner`select metadata::text from coupon.coupons where id = ${coupon_id}`;
  assert.equal(row?.["metadata"], '{"id": 12345678901234567890}');
});

for (const [name, run] of outcomeTests("withdraw_coupon", {
  coupon_not_found: async () => [await asAdmin("POST /coupons/999999/withdraw"), { coupon_id: 999_999 }],
  already_withdrawn: async () => {
    const coupon_id = await world().newCoupon();
    await asAdmin(`POST /coupons/${coupon_id}/withdraw`);
    return [await asAdmin(`POST /coupons/${coupon_id}/withdraw`), { coupon_id }];
  },
  has_grants: async () => {
    const { coupon_id } = await holder();
    return [await asAdmin(`POST /coupons/${coupon_id}/withdraw`), { coupon_id, issued: 1 }];
  },
  withdrawn: async () => {
    const coupon_id = await world().newCoupon();
    const answer = await asAdmin(`POST /coupons/${coupon_id}/withdraw`);
    assert.equal((await asAdminGet(`/coupons/${coupon_id}`)).status, 404);
    const told = await world().issue(coupon_id, await world().newUser());
    assert.equal(told.body.outcome, "coupon_not_found");
    return [answer, { coupon_id, issued: 0 }];
  },
}))
  test(name, run);

/** A coupon that is over since many days, with a grant; each has its own. */
async function bygone(days: number): Promise<{ coupon_id: number; code: string }> {
  const { owner } = world().scratch;
  const { coupon_id } = await holder();
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user`;
    await sql`alter table coupon.coupons disable trigger user`;
    await sql`
      update coupon.coupons set start_time = start_time - ${days + 1}::integer * interval '1 day', live_on = live_on - ${days + 1}::integer,
        expiry = clock_timestamp() - ${days}::integer * interval '1 day' where id = ${coupon_id}`;
    await sql`
      update coupon.user_coupons g set expiry = c.expiry, issued_at = c.start_time + interval '1 minute', issued_on = c.live_on
      from coupon.coupons c where c.id = g.coupon_id and c.id = ${coupon_id}`;
    await sql`alter table coupon.user_coupons enable trigger user`;
    await sql`alter table coupon.coupons enable trigger user`;
  });
  const [row] = await owner`select code from coupon.coupons where id = ${coupon_id}`;
  return { coupon_id, code: row?.["code"] };
}
const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
const retire = (days: number) => asAdmin("POST /coupons/retire", { before: daysAgo(days) });

for (const [name, run] of outcomeTests("retire_coupons", {
  too_recent: async () => [await retire(20), {}],
  busy: async () => {
    const { owner } = world().scratch;
    const [answer] = await owner.begin(async (sql) => {
      await sql`select from coupon.folded for update`;
      return [await retire(40)];
    });
    return [answer as Awaited<ReturnType<typeof retire>>, {}];
  },
  going_on: async () => {
    const { coupon_id, code } = await bygone(70);
    const answer = await retire(60);
    assert.equal((await asAdminGet(`/coupons/${coupon_id}`)).status, 404);
    return [answer, { coupon_id, code, grants: 0, grants_left: 1, coupons_left: 1 }];
  },
  done: async () => {
    const { coupon_id, code } = await bygone(90);
    await retire(80); // the one that is begun
    await retire(80);
    const moved = await retire(80);
    assert.deepEqual(
      [moved.body.outcome, moved.body.coupon_id, moved.body.grants],
      ["going_on", coupon_id, 1],
    );
    const answer = await retire(80);
    const { body } = await asAdminGet(`/coupons/${coupon_id}/stats`);
    assert.deepEqual([body.code, body.issued], [code, 1]);
    return [answer, { grants: 0, coupons_left: 0 }];
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
  const expiry = "2059-01-01T00:00:00Z";
  const users = [{ user_id: 8_100_000, display_name: "Ann" }];
  const why = { reason: "because, 🎟" };
  const soon = await upcoming("AUDITED-SOON", "2058-04-02");
  const admins: [route: string, command: string, body: object, ...about: (number | null)[]][] = [
    ["POST /coupons", "create_coupon", offer("AUDITED", "2058-04-01"), 0, null],
    [`POST ${at("pause")}`, "pause_coupon", {}, coupon_id, null],
    [`POST ${at("resume")}`, "resume_coupon", {}, coupon_id, null],
    [`POST ${at("count")}`, "set_coupon_count", { count: 77 }, coupon_id, null],
    [`POST ${at("expiry")}`, "set_coupon_expiry", { expiry }, coupon_id, null],
    [`POST ${at("edit")}`, "edit_coupon", { message: "another" }, coupon_id, null],
    [`POST /coupons/${soon}/start`, "set_coupon_start", { start_time: "2058-04-03T10:00:00Z" }, soon, null],
    [
      `POST /coupons/${soon}/group`,
      "set_coupon_group",
      { group_name: "regulars", eligible_from: "2058-04-03T09:00:00Z" },
      soon,
      null,
    ],
    [`POST /coupons/${soon}/withdraw`, "withdraw_coupon", {}, soon, null],
    ["POST /users", "import_users", { users }, null, null],
    ["POST /groups/regulars/add", "add_to_group", { user_ids: [8_100_000] }, null, null],
    ["POST /groups/regulars/remove", "remove_from_group", { user_ids: [8_100_000] }, null, null],
    ["POST /users/8100000/forget", "forget_user", {}, null, 8_100_000],
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

const coupon = offer("WRONG", "2058-03-01");
for (const [name, run] of wrongBodyTests([
  [
    "a start that is no time",
    "POST /coupons/1/start",
    { start_time: "noon" },
    ["start_time", "must be a time like 2026-11-22T10:00:00Z"],
  ],
  [
    "a day that is none",
    "POST /coupons/retire",
    { before: "2026-02-30" },
    ["before", "must be a day like 2026-11-22"],
  ],
  [
    "too many grants at once",
    "POST /coupons/retire",
    { before: "2026-01-01", at_most: 10_001 },
    ["at_most", "must be at most 10000"],
  ],
  ["a message that is empty", "POST /coupons/1/edit", { message: "" }, ["message", "must not be empty"]],
  ["a message that is null", "POST /coupons/1/edit", { message: null }, ["message", "must be a string"]],
  [
    "metadata that is no object",
    "POST /coupons/1/edit",
    { metadata: [] },
    ["metadata", "must be a JSON object"],
  ],
  ...Object.entries({
    "POST /coupons": coupon,
    "POST /coupons/1/pause": {},
    "POST /coupons/1/resume": {},
    "POST /coupons/1/count": { count: 1 },
    "POST /coupons/1/expiry": { expiry: "2059-01-01T00:00:00Z" },
    "POST /coupons/1/start": { start_time: "2058-01-01T00:00:00Z" },
    "POST /coupons/1/edit": { message: "m" },
    "POST /coupons/1/withdraw": {},
    "POST /coupons/retire": { before: "2026-01-01" },
    "POST /users/1/forget": {},
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
