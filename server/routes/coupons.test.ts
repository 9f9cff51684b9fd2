/** Coupons: made, found, listed, and how they sell. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adminToken, assertProblem, openWorld, serviceToken, userToken } from "../../bench/harness/app.ts";
import { INSTANT, offer, routesWorld, WRONG_IDS, type Wrong } from "../../bench/harness/routes.ts";

const { world, asAdmin, asAdminGet, asUser, outcomeTests, wrongBodyTests, wrongTargetTests } = routesWorld();

for (const [name, run] of outcomeTests("create_coupon", {
  created: async () => {
    const answer = await asAdmin("POST /coupons", offer("CREATED", "2058-01-01"));
    return [answer, { coupon_id: answer.body.coupon_id, live_on: "2058-01-01", slot: 1 }];
  },
  already_created: async () => {
    const first = await asAdmin("POST /coupons", offer("TWICE", "2058-01-02"));
    const { outcome: _, warning: __, ...same } = first.body;
    return [await asAdmin("POST /coupons", offer("TWICE", "2058-01-02")), same];
  },
  already_withdrawn: async () => {
    const { coupon_id } = (await asAdmin("POST /coupons", offer("GONE", "2058-01-07"))).body;
    await asAdmin(`POST /coupons/${coupon_id}/withdraw`);
    const answer = await asAdmin("POST /coupons", offer("GONE", "2058-01-07"));
    const again = { ...offer("GONE", "2058-01-07"), reason: "wanted after all" };
    assert.equal((await asAdmin("POST /coupons", again)).body.outcome, "created");
    return [answer, { coupon_id }];
  },
  code_taken: async () => {
    const first = await asAdmin("POST /coupons", offer("TAKEN", "2058-01-03"));
    const { outcome: _, warning: __, ...other } = first.body;
    return [await asAdmin("POST /coupons", offer("taken", "2058-01-03")), other];
  },
  in_the_past: async () => [
    await asAdmin("POST /coupons", {
      ...offer("PAST", "2001-01-04"),
      expiry: "2001-01-05T00:00:00Z",
    }),
    { live_on: "2001-01-04" },
  ],
  start_time_taken: async () => {
    const { coupon_id } = (await asAdmin("POST /coupons", offer("TIME", "2058-01-04"))).body;
    const answer = await asAdmin("POST /coupons", { ...offer("TIME-2", "2058-01-04"), count: 2 });
    return [answer, { coupon_id, live_on: "2058-01-04" }];
  },
  count_taken: async () => {
    const { coupon_id } = (await asAdmin("POST /coupons", offer("COUNT", "2058-01-05"))).body;
    const answer = await asAdmin("POST /coupons", {
      ...offer("COUNT-2", "2058-01-05"),
      start_time: "2058-01-05T11:00:00Z",
    });
    return [answer, { coupon_id, live_on: "2058-01-05" }];
  },
  day_full: async () => {
    for (const i of [1, 2, 3, 4]) {
      const start_time = `2058-01-06T0${i}:00:00Z`;
      const answer = await asAdmin("POST /coupons", {
        ...offer(`FULL-${i}`, "2058-01-06"),
        start_time,
        count: i,
      });
      if (i === 4) return [answer, { live_on: "2058-01-06" }];
      assert.equal(answer.status, 201);
    }
    throw new Error("not reached");
  },
}))
  test(name, run);

test("a coupon that isn't there: by id, by code, its stats", async () => {
  for (const path of ["/coupons/999999", "/coupons?code=NOBODY", "/coupons/999999/stats"])
    assertProblem(await asAdminGet(path), 404, {
      outcome: "coupon_not_found",
      detail: "There is no such coupon.",
    });
});

test("a coupon comes back as it was given: by id, by code, in the list", async () => {
  const metadata = {
    text: 'Zoë "🎟️" \\ \u0001',
    numbers: [0, -1, 1.5, 9_007_199_254_740_991, 1e300],
    nothing: null,
    deep: { a: { b: { c: [true] } } },
    ["__proto__"]: { kept: true },
    "": [],
  };
  const given = {
    ...offer("EXACT", "2058-02-01"),
    message: `${"m".repeat(199)}🎟`,
    description: "",
    start_time: "2058-02-01T10:00:00.123456Z",
    expiry: "2058-02-03T00:00:00.000001+05:30",
    metadata,
  };
  const { body } = await asAdmin("POST /coupons", given);
  assert.equal(body.outcome, "created");
  const byId = await asAdminGet(`/coupons/${body.coupon_id}`);
  const { server_time, starts_in, asked, ...coupon } = byId.body;
  assert.equal(asked, 0);
  assert.match(server_time, INSTANT);
  assert.deepEqual(coupon, {
    ...given,
    coupon_id: body.coupon_id,
    eligible_from: null,
    expiry: "2058-02-02T18:30:00.000001Z",
    issued: 0,
    remaining: 1,
    sold_out: false,
    sold_out_at: null,
    time_to_sell_out: null,
    paused: false,
  });
  const micros = (time: string) =>
    BigInt(Date.parse(`${time.slice(0, 19)}Z`)) * 1000n + BigInt(`${time.slice(20, -1)}000000`.slice(0, 6));
  assert.equal(
    Math.round(starts_in * 1e6),
    Number(micros(given.start_time) - micros(server_time)),
    "starts_in is start_time - server_time",
  );

  const {
    server_time: _,
    starts_in: __,
    asked: ___,
    ...byCode
  } = (await asAdminGet("/coupons?code=exact")).body;
  assert.deepEqual(byCode, coupon);
  for (const other of ["exact%20", "+exact", "ex%C3%A1ct"])
    assert.equal((await asAdminGet(`/coupons?code=${other}`)).status, 404, other);
  const list = (await asAdminGet("/coupons/upcoming")).body;
  assert.match(list.server_time, INSTANT);
  const listed = list.coupons.find((row: { coupon_id: number }) => row.coupon_id === body.coupon_id);
  assert.deepEqual({ ...listed, starts_in: 0 }, { ...coupon, starts_in: 0 });
});

test("live and upcoming, without coupons: an empty list and the time", async () => {
  const empty = await openWorld();
  try {
    for (const path of ["/coupons/live", "/coupons/upcoming"]) {
      const { body } = await empty.call(`GET ${path}`, { token: serviceToken });
      assert.deepEqual(body.coupons, []);
      assert.match(body.server_time, INSTANT);
    }
  } finally {
    await empty.close();
  }
});

test("live: what runs, sold out and paused ones too", async () => {
  const here = await openWorld();
  try {
    const [open, out, paused] = [
      await here.newCoupon(),
      await here.newCoupon({ count: 1 }),
      await here.newCoupon(),
    ];
    await here.newCoupon({ until: "-1 second" });
    await here.newCoupon({ from: "1 hour" });
    await here.issue(out, await here.newUser());
    await here.call(`POST /coupons/${paused}/pause`, { token: adminToken });
    const { body } = await here.call("GET /coupons/live", { token: userToken(1) });
    assert.deepEqual(
      body.coupons.map((c: Record<string, unknown>) => [
        c["coupon_id"],
        c["remaining"],
        c["sold_out"],
        c["paused"],
        c["starts_in"],
      ]),
      [
        [open, 10, false, false, null],
        [out, 0, true, false, null],
        [paused, 10, false, true, null],
      ],
    );
  } finally {
    await here.close();
  }
});

test("live and upcoming by pages; the stream tells the first page of live coupons", async () => {
  const here = await openWorld();
  try {
    await here.scratch.admin`
      select from generate_series(1, 150) n
      cross join lateral create_coupon('OLD' || n, 'm', 'd', now() - n * interval '1 day', now() + interval '1 day', n::integer)`;
    const ids = async (path: string) => {
      const { body } = await here.call(`GET /coupons/${path}`, { token: userToken(1) });
      return [body.coupons.map(({ code }: { code: string }) => code), body.next_before];
    };
    const codes = Array.from({ length: 150 }, (_, n) => `OLD${n + 1}`);
    const [first, before] = await ids("live");
    assert.deepEqual(first, codes.slice(0, 100));
    assert.deepEqual(await ids(`live?before=${before}`), [codes.slice(100), null]);
    const [, small] = await ids("live?page_size=2");
    assert.deepEqual((await ids(`live?page_size=2&before=${small}`))[0], codes.slice(2, 4));
    const { live } = (await here.call("GET /coupons/events", { token: userToken(1) })).body;
    assert.deepEqual(
      live.map(({ code }: { code: string }) => code),
      codes.slice(0, 100),
    );
    const [soon, later] = [
      await here.newCoupon({ from: "1 hour" }),
      await here.newCoupon({ from: "2 hours", until: "1 day", count: 7 }),
    ];
    const upcoming = async (query: string) => {
      const { body } = await here.call(`GET /coupons/upcoming?page_size=1${query}`, { token: userToken(1) });
      const [{ coupon_id, start_time } = { coupon_id: null, start_time: null }] = body.coupons;
      assert.equal(body.next_after, start_time);
      return [coupon_id, start_time];
    };
    const [first_id, soonest] = await upcoming("");
    assert.equal(first_id, soon);
    await here.scratch.owner`delete from coupon.coupons where id = ${soon}`;
    const [second_id, latest] = await upcoming(`&after=${soonest}`);
    assert.equal(second_id, later);
    assert.deepEqual(await upcoming(`&after=${latest}`), [null, null]);
  } finally {
    await here.close();
  }
});

test("stats: from the first grant to the last", async () => {
  const coupon_id = await world().newCoupon({ count: 2, from: "-90061.5 seconds" });
  const stats = async () => (await asAdminGet(`/coupons/${coupon_id}/stats`)).body;
  const { code, time_to_sell_out: none, ...fresh } = await stats();
  assert.equal(none, null);
  assert.deepEqual(fresh, {
    coupon_id,
    count: 2,
    issued: 0,
    remaining: 2,
    used: 0,
    asked: 0,
    first_issued_at: null,
    last_issued_at: null,
    sold_out_at: null,
  });
  const [first, second] = [await world().newUser(), await world().newUser()];
  const first_issued_at = (await world().issue(coupon_id, first)).body.issued_at;
  const last_issued_at = (await world().issue(coupon_id, second)).body.issued_at;
  await asUser(first, `POST /coupons/${coupon_id}/use`, { body: { reference: "r" } });
  const { time_to_sell_out, ...sold } = await stats();
  assert.deepEqual(sold, {
    ...fresh,
    code,
    issued: 2,
    remaining: 0,
    used: 1,
    asked: 2,
    first_issued_at,
    last_issued_at,
    sold_out_at: last_issued_at,
  });
  assert.ok(time_to_sell_out > 90_061.5 && time_to_sell_out < 90_361);
});

const coupon = offer("WRONG", "2058-03-01");
const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
for (const [name, run] of wrongBodyTests([
  ["an unknown member", "POST /coupons", { ...coupon, id: 1 }, ["id", "is not a member of this request"]],
  ["code missing", "POST /coupons", { ...coupon, code: undefined }, ["code", "is needed"]],
  ["code a number", "POST /coupons", { ...coupon, code: 1 }, ["code", "must be a string"]],
  ["code empty", "POST /coupons", { ...coupon, code: "" }, ["code", "must not be empty"]],
  [
    "code too long",
    "POST /coupons",
    { ...coupon, code: "C".repeat(65) },
    ["code", "must have at most 64 characters"],
  ],
  [
    "code much too long",
    "POST /coupons",
    { ...coupon, code: "C".repeat(500) },
    ["code", "must have at most 64 characters"],
  ],
  ["code with NUL", "POST /coupons", { ...coupon, code: "A\0" }, ["code", "must be valid text"]],
  [
    "message with half a pair",
    "POST /coupons",
    { ...coupon, message: "\ud83c" },
    ["message", "must be valid text"],
  ],
  [
    "message too long",
    "POST /coupons",
    { ...coupon, message: "🎟".repeat(201) },
    ["message", "must have at most 200 characters"],
  ],
  [
    "description too long",
    "POST /coupons",
    { ...coupon, description: "d".repeat(2001) },
    ["description", "must have at most 2000 characters"],
  ],
  ...[
    "2058-03-01",
    "2058-03-01T10:00:00",
    "2058-02-30T10:00:00Z",
    "0000-01-01T00:00:00Z",
    "2058-03-01T10:00:00+16:00",
    "2058-03-01T10:00:00+23:59",
    "2058-03-01T10:00:00-23:59",
    "now",
    "2058-03-01 10:00:00Z",
    "infinity",
    1_900_000_000,
    null,
  ].map(
    (time): Wrong => [
      `start_time ${time}`,
      "POST /coupons",
      { ...coupon, start_time: time },
      ["start_time", "must be a time like 2026-11-22T10:00:00Z"],
    ],
  ),
  ...["2058-03-01T23:59:59.9999999Z", "2058-03-01T10:00:00.12345600000001+09:00"].map(
    (time): Wrong => [
      `start_time ${time}`,
      "POST /coupons",
      { ...coupon, start_time: time },
      ["start_time", "must have at most six digits after the second, or zeros beyond them"],
    ],
  ),
  ...(
    [
      ["1", "must be a number"],
      [null, "must be a number"],
      [0, "must be at least 1"],
      [-1, "must be at least 1"],
      [1.5, "must be a whole number"],
      [100_000_001, "must be at most 100000000"],
    ] as const
  ).map(
    ([count, why]): Wrong => [
      `count ${JSON.stringify(count)}`,
      "POST /coupons",
      { ...coupon, count },
      ["count", why],
    ],
  ),
  ...[[], "{}", null, 1].map(
    (metadata): Wrong => [
      `metadata ${JSON.stringify(metadata)}`,
      "POST /coupons",
      { ...coupon, metadata },
      ["metadata", "must be a JSON object"],
    ],
  ),
  [
    "metadata of 6 levels",
    "POST /coupons",
    { ...coupon, metadata: nested(6) },
    ["metadata", "must be at most 5 levels deep"],
  ],
  [
    "metadata of 7,000 levels",
    "POST /coupons",
    JSON.stringify({ ...coupon, metadata: { a: 0 } }).replace(
      '"a":0',
      `"a":${"[".repeat(7000)}${"]".repeat(7000)}`,
    ),
    ["metadata", "must be at most 5 levels deep"],
  ],
  [
    "metadata with NUL",
    "POST /coupons",
    { ...coupon, metadata: { a: ["\0"] } },
    ["metadata", "must have valid text only"],
  ],
  [
    "metadata with half a pair",
    "POST /coupons",
    { ...coupon, metadata: { "\udc00": 1 } },
    ["metadata", "must have valid text only"],
  ],
  [
    "metadata with a number that is too long for PostgreSQL",
    "POST /coupons",
    JSON.stringify({ ...coupon, metadata: { a: 0 } }).replace('"a":0', '"a":1e-5000'),
    ["metadata", "must have at most 4096 characters"],
  ],
  [
    "a count that a double does not hold",
    "POST /coupons",
    JSON.stringify(coupon).replace(/"count":\d+/, '"count":25.00000000000000000001'),
    ["count", "must be a number that a double can hold"],
  ],
  [
    "a number for a text",
    "POST /coupons",
    JSON.stringify(coupon).replace(/"message":"[^"]*"/, '"message":750727362669608961'),
    ["message", "must be a string"],
  ],
]))
  test(name, run);

test("a time to the microsecond is kept, with zeros beyond as .NET writes them", async () => {
  const start_time = "2058-03-03T23:59:59.9999990Z";
  const { status, body } = await asAdmin("POST /coupons", { ...offer("DOTNET", "2058-03-03"), start_time });
  assert.deepEqual([status, body.live_on], [201, "2058-03-03"]);
  const found = await asAdminGet(`/coupons/${body.coupon_id}`);
  assert.equal(found.body.start_time, "2058-03-03T23:59:59.999999Z");
});

test("metadata of 5 levels", async () => {
  const answer = await asAdmin("POST /coupons", { ...offer("LEVELS", "2058-03-02"), metadata: nested(5) });
  assert.equal(answer.status, 201);
});

// What only SQL knows to be wrong: class 22.
const wrongForSql: [name: string, route: string, body: object, ...members: [string, string][]][] = [
  [
    "code with a space",
    "POST /coupons",
    { ...coupon, code: "A B" },
    ["code", "must be 1 to 64 letters, digits, - or _"],
  ],
  [
    "expiry before start",
    "POST /coupons",
    { ...coupon, expiry: coupon.start_time },
    ["expiry", "must be after start_time"],
  ],
  [
    "before 1970",
    "POST /coupons",
    { ...coupon, start_time: "1969-12-31T23:59:59Z" },
    ["start_time", "must lie between 1970 and 9999"],
  ],
  [
    "metadata too long",
    "POST /coupons",
    { ...coupon, metadata: { a: "x".repeat(4096) } },
    ["metadata", "must have at most 4096 characters"],
  ],
  [
    "metadata that is longer in SQL",
    "POST /coupons",
    { ...coupon, metadata: { a: Array(2000).fill(1) } },
    ["metadata", "must have at most 4096 characters"],
  ],
];
for (const [name, route, body, [member, detail] = ["", ""]] of wrongForSql)
  test(`400 from SQL: ${name}`, async () =>
    assertProblem(await asAdmin(route, body), 400, {
      outcome: "invalid_request",
      detail: `${member}: ${detail}`,
      errors: [{ member, detail }],
    }));

test("metadata keeps numbers that a double does not hold, from REST to psql and back", async () => {
  const exact =
    '{"deep":[0.1000000000000000055,{"750727362669608961":"750727362669608961"}],"campaign_id":750727362669608961}';
  const body = JSON.stringify({ ...offer("KEPT", "2057-04-01"), metadata: {} }).replace("{}", exact);
  const created = await asAdmin("POST /coupons", body);
  assert.equal(created.body.outcome, "created");
  const { coupon_id } = created.body;
  const [row] = await world().scratch.admin`
    select c.metadata = ${exact}::text::jsonb as is_kept from find_coupon(coupon_id => ${coupon_id}) c`;
  assert.equal(row?.["is_kept"], true);
  assert.equal((await asAdmin("POST /coupons", body)).body.outcome, "already_created");

  const token = adminToken;
  // What another test has asked for is kept for a second.
  for (const path of [`/coupons/${coupon_id}`, "/coupons?code=KEPT", "/coupons/upcoming?page_size=1000"]) {
    const request = new Request(`http://x${path}`, { headers: { authorization: `Bearer ${token}` } });
    const text = await (await world().app.fetch(request)).text();
    assert.ok(text.includes(`"metadata":${exact}`), `${path}: ${text}`);
  }
});

test("characters are code points, as PostgreSQL counts them, however they are written", async () => {
  const longest = {
    ...offer("LONGEST", "2058-04-02"),
    message: "🎟".repeat(200),
    description: "🎟".repeat(2000),
    reason: "🎟".repeat(500),
    metadata: { a: "🎟".repeat(4096 - 9) },
  };
  const escaped = JSON.stringify(longest).replace(
    /[^\0-\x7f]/g,
    (half) => `\\u${half.charCodeAt(0).toString(16)}`,
  );
  assert.equal((await asAdmin("POST /coupons", escaped)).body.outcome, "created");
  assert.equal((await asAdmin("POST /coupons", longest)).body.outcome, "already_created");
  for (const member of ["message", "description", "reason"] as const) {
    const longer = { ...longest, [member]: `${longest[member]}🎟` };
    assert.equal((await asAdmin("POST /coupons", longer)).body.errors?.[0].member, member);
  }
  const { body } = await asAdmin("POST /coupons", { ...longest, metadata: { a: "🎟".repeat(4096 - 8) } });
  assert.deepEqual(body.errors, [{ member: "metadata", detail: "must have at most 4096 characters" }]);
});

for (const [name, run] of wrongTargetTests([
  ["/coupons", "code", "is needed"],
  ["/coupons?code=", "code", "must not be empty"],
  ["/coupons?code=A&code=B", "code", "must be given once"],
  ["/coupons?code=A&x=1", "x", "is not a member of this request"],
  ["/coupons?code=%00", "code", "must be valid text"],
  ["/users/1/coupons?before=0000-01-01", "before", "must be a day like 2026-11-22"],
  ["/coupons/live?x", "x", "is not a member of this request"],
  ["/coupons/upcoming?page_size=0", "page_size", "must be a whole number from 1 to 1000"],
  ["/coupons/live?page_size=1001", "page_size", "must be at most 1000"],
  ["/coupons/live?before=7", "before", "must be a time like 2026-11-22T10:00:00Z"],
  ["/coupons/upcoming?after=noon", "after", "must be a time like 2026-11-22T10:00:00Z"],
  ["/coupons/1?x=1", "x", "is not a member of this request"],
  ["/coupons/1/stats?x=1", "x", "is not a member of this request"],
  ...WRONG_IDS.map(([id, why]): [string, string, string] => [`/coupons/${id}`, "coupon_id", why]),
]))
  test(name, run);
