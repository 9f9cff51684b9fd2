/** The plan by REST: entries, a preview, filling, and the copy of a day. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem } from "../../bench/harness/app.ts";
import { routesWorld, type Wrong } from "../../bench/harness/routes.ts";

const { world, asAdmin, asAdminGet, outcomeTests, wrongBodyTests, wrongTargetTests } = routesWorld();

const LUNCH = {
  ...{ weekday: 1, slot: 1, code_pattern: "LUNCH-{date}", message: "Free lunch", description: "One soup" },
  ...{ local_start: "11:00", local_expiry: "14:30", count: 25 },
};
const ofSlot = (slot: number, other: object = {}) => ({
  ...LUNCH,
  ...{ slot, code_pattern: `S${slot}-{date}`, local_start: `1${slot}:30`, count: slot, ...other },
});
const set = (entry: object) => asAdmin("POST /plan", entry);

for (const [name, run] of outcomeTests("set_plan_entry", {
  planned: async () => [await set({ ...LUNCH, weekday: 6, reason: "by marketing" }), { weekday: 6, slot: 1 }],
  unchanged: async () => {
    await set(LUNCH);
    return [
      await set({ ...LUNCH, local_start: "11:00:00", expiry_days: 0, metadata: {} }),
      { weekday: 1, slot: 1 },
    ];
  },
  code_taken: async () => {
    await set(LUNCH);
    return [
      await set(ofSlot(2, { code_pattern: "lunch-{date}" })),
      { weekday: 1, slot: 2, taken_by_slot: 1 },
    ];
  },
  start_time_taken: async () => {
    await set(LUNCH);
    return [await set(ofSlot(2, { local_start: "11:00" })), { weekday: 1, slot: 2, taken_by_slot: 1 }];
  },
  count_taken: async () => {
    await set(LUNCH);
    return [await set(ofSlot(2, { count: 25 })), { weekday: 1, slot: 2, taken_by_slot: 1 }];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("remove_plan_entry", {
  not_planned: async () => [
    await asAdmin("POST /plan/remove", { weekday: 7, slot: 3 }),
    { weekday: 7, slot: 3 },
  ],
  removed: async () => {
    await set(LUNCH);
    return [
      await asAdmin("POST /plan/remove", { weekday: 1, slot: 1, reason: "no more" }),
      { weekday: 1, slot: 1 },
    ];
  },
}))
  test(name, run);

test("planned, with a warning: it can be had for less than a minute", async () => {
  const brief = { ...LUNCH, weekday: 5, local_expiry: "11:00:01" };
  const members = { weekday: 5, slot: 1, taken_by_slot: null };
  const first = await set(brief);
  assert.deepEqual(
    [first.status, first.body],
    [200, { outcome: "planned", ...members, warning: "short_lived" }],
  );
  assert.deepEqual((await set(brief)).body, { outcome: "unchanged", ...members, warning: null });
});

test("a day is planned, previewed, filled and copied, as functions have it", async () => {
  const { owner, admin } = world().scratch;
  await owner.unsafe("delete from coupon.plan; update coupon.settings set time_zone = 'Europe/Berlin'");
  // Of any weekday, so that tomorrow is one.
  const [row] = await admin`
    select to_char(d.day, 'YYYY-MM-DD') as tomorrow, to_char(d.day + 1, 'YYYY-MM-DD') as next, extract(isodow from d.day)::integer as weekday,
      to_char(d.day, 'YYYYMMDD') as short, to_char(d.day + 1, 'YYYYMMDD') as later,
      to_char((d.day + time '11:00') at time zone 'Europe/Berlin' at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as start_time,
      to_char((d.day + 1 + time '02:30') at time zone 'Europe/Berlin' at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as expiry
    from (select (clock_timestamp() at time zone 'Europe/Berlin')::date + 1) d (day)`;
  const { tomorrow, next, weekday, short, later, start_time, expiry } = row as unknown as Record<
    string,
    string
  >;
  const lunch = { ...LUNCH, weekday, local_expiry: "02:30", expiry_days: 1 };
  const text = JSON.stringify(lunch).replace("{", `{"metadata": {"big": 12345678901234567890},`);
  assert.equal((await asAdmin("POST /plan", text)).body.outcome, "planned");
  assert.equal((await set(ofSlot(2, { weekday, code_pattern: `lunch-{year}{month}{day}` }))).status, 200);
  const metadata = { big: 12345678901234567000 };
  const entries = (await asAdminGet("/plan")).body;
  assert.deepEqual(entries.entries[0], {
    ...lunch,
    ...{ local_start: "11:00:00", local_expiry: "02:30:00", metadata },
  });
  assert.equal(entries.entries.length, 2);

  const told = {
    ...{ outcome: "made", day: tomorrow, slot: 1, code: `LUNCH-${short}`, message: "Free lunch" },
    ...{ description: "One soup", start_time, expiry, count: 25, metadata },
    ...{ coupon_id: null as number | null, taken_by: null as number | null, warning: null },
  };
  const preview = await asAdminGet(`/plan/preview?first_day=${tomorrow}&last_day=${tomorrow}`);
  assert.deepEqual([preview.status, preview.body.coupons[0]], [200, told]);
  assert.deepEqual([preview.body.coupons[1].outcome, preview.body.coupons[1].taken_by], ["code_taken", null]);
  assert.equal(await world().db.findCoupon({ code: `LUNCH-${short}` }), undefined);

  const filled = await asAdmin("POST /plan/fill", { last_day: tomorrow, reason: "now" });
  const { coupon_id = null } = (await world().db.findCoupon({ code: `LUNCH-${short}` })) ?? {};
  assert.deepEqual([filled.status, filled.body.coupons[0]], [200, { ...told, coupon_id }]);
  assert.deepEqual(
    [filled.body.coupons[1].outcome, filled.body.coupons[1].coupon_id, filled.body.coupons[1].taken_by],
    ["code_taken", null, coupon_id],
  );
  const again = await asAdmin("POST /plan/fill", {});
  assert.deepEqual(again.body.coupons[0], { ...told, coupon_id, outcome: "already_made" });
  assert.deepEqual(
    (await asAdminGet("/audit?page_size=1000")).body.entries.find(
      (entry: { coupon_id: number; command: string }) => entry.coupon_id === coupon_id,
    ).reason,
    "now",
  );

  const copied = await asAdmin("POST /plan/copy-day", { from_day: tomorrow, to_day: next });
  assert.deepEqual(
    copied.body.coupons.map(({ outcome, day, code }: typeof told) => [outcome, day, code]),
    [["made", next, `LUNCH-${later}`]],
  );
  const withdrawn = await asAdmin(`POST /coupons/${coupon_id}/withdraw`);
  assert.equal(withdrawn.body.outcome, "withdrawn");
  const gone = (await asAdminGet(`/plan/preview?first_day=${tomorrow}&last_day=${tomorrow}`)).body.coupons[0];
  assert.deepEqual(
    [gone.outcome, gone.coupon_id, gone.code, gone.start_time],
    ["already_made", coupon_id, null, null],
  );
});

const wrong: Wrong[] = (
  [
    ["weekday", undefined, "is needed"],
    ["weekday", 0, "must be at least 1"],
    ["weekday", 8, "must be at most 7"],
    ["slot", 4, "must be at most 3"],
    ["slot", 1.5, "must be a whole number"],
    ["local_start", "24:00", "must be a time of day like 11:00"],
    ["local_start", "11:00Z", "must be a time of day like 11:00"],
    ["local_start", 11, "must be a string"],
    ["local_expiry", "11", "must be a time of day like 11:00"],
    ["expiry_days", -1, "must be at least 0"],
    ["last_day", "2036-01-01", "is not a member of this request"],
  ] as const
).map(([member, value, detail]) => [
  `${member} ${value}`,
  "POST /plan",
  { ...LUNCH, [member]: value },
  [member, detail],
]);
const aDay = "must be a day like 2026-11-22";
for (const [name, run] of wrongBodyTests([
  ...wrong,
  ["no such day", "POST /plan/fill", { last_day: "2036-02-30" }, ["last_day", aDay]],
  ["no day to copy", "POST /plan/copy-day", { to_day: "2036-01-01" }, ["from_day", "is needed"]],
]))
  test(name, run);
for (const [name, run] of wrongTargetTests([
  ["/plan/preview?first_day=x", "first_day", aDay],
  ["/plan?page_size=1", "page_size", "is not a member of this request"],
]))
  test(name, run);

test("400: what the functions refuse, by its name", async () => {
  const refused: [route: string, body: object, member: string, detail: string][] = [
    [
      "POST /plan",
      { ...LUNCH, code_pattern: "LUNCH-{weekday}" },
      "code_pattern",
      "must have {date}, or {year}, {month} and {day}: no code is given twice",
    ],
    [
      "POST /plan",
      { ...LUNCH, code_pattern: "LUNCH-{date}-{hour}" },
      "code_pattern",
      "must be of letters, digits, -, _, {date}, {year}, {month}, {day}, {weekday} and {slot}",
    ],
    [
      "POST /plan",
      { ...LUNCH, local_expiry: "11:00" },
      "local_expiry",
      "must be after local_start, or expiry_days after that day",
    ],
    ["POST /plan/fill", { last_day: "2020-01-01" }, "last_day", "must not be before today"],
    [
      "POST /plan/copy-day",
      { from_day: "2036-01-01", to_day: "2036-01-01" },
      "to_day",
      "must be another day than from_day",
    ],
  ];
  for (const [route, body, member, why] of refused) {
    const detail = `${member}: ${why}`;
    assertProblem(await asAdmin(route, body), 400, {
      ...{ outcome: "invalid_request", detail },
      errors: [{ member, detail: why }],
    });
  }
  for (const [query, why] of [
    ["first_day=2036-01-01&last_day=2036-04-01", "must be at most 90 days after first_day"],
    ["first_day=2036-01-02&last_day=2036-01-01", "must not be before first_day"],
  ]) {
    const { status, body } = await asAdminGet(`/plan/preview?${query}`);
    assert.deepEqual([status, body.detail], [400, `last_day: ${why}`]);
  }
});
