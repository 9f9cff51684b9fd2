import assert from "node:assert/strict";
import type { Server } from "node:http";
import { type AddressInfo, type Socket as Connection, connect as connectTcp } from "node:net";
import { after, before, test } from "node:test";
import { createAdaptorServer } from "@hono/node-server";
import {
  type Answer,
  adminToken,
  assertProblem,
  type Call,
  env,
  openWorld,
  serviceToken,
  userToken,
  type World,
} from "../../bench/harness/app.ts";
import { type Command, outcomes } from "../api/outcomes.ts";
import { signToken } from "../auth/auth.ts";
import { DatabaseError } from "../database/errors.ts";
import { parseSeconds } from "../database/pool.ts";
import { createApp } from "./app.ts";
import { pages } from "./pages.ts";

let world: World;
before(async () => {
  world = await openWorld();
});
after(async () => {
  assert.deepEqual(world.failures(), [], "nothing here was our mistake");
  await world.close();
});

const NOBODY = 9_007_199_254_740_991;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;

const asAdmin = (route: string, body: unknown = {}) => world.call(route, { token: adminToken, body });
const asUser = async (userId: number, route: string, call: Call = {}) =>
  world.call(route, { token: await userToken(userId), ...call });

/** A user that holds a new coupon, and maybe used it. */
async function holder(reference?: string) {
  const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon()];
  assert.equal((await world.issue(coupon_id, user_id)).status, 201);
  if (reference !== undefined)
    assert.equal(
      (await asUser(user_id, `POST /coupons/${coupon_id}/use`, { body: { reference } })).status,
      200,
    );
  return { user_id, coupon_id };
}

// ---- Who may do what ------------------------------------------------------------------------------------------------

const anyone = ["user", "service", "admin"];
const rights: Record<string, string[] | "public"> = {
  // And whom it answers: server/auth/demo.test.ts.
  "POST /demo/token": "public",
  "GET /livez": "public",
  "GET /readyz": "public",
  "POST /coupons": ["admin"],
  "GET /coupons": ["service", "admin"],
  "GET /coupons/live": anyone,
  "GET /coupons/upcoming": anyone,
  "GET /coupons/events": anyone,
  "GET /coupons/status": ["admin"],
  "GET /coupons/status/events": ["admin"],
  "GET /coupons/:coupon_id": anyone,
  "GET /coupons/:coupon_id/stats": ["admin"],
  "POST /coupons/:coupon_id/issue": anyone,
  "POST /coupons/:coupon_id/use": anyone,
  "POST /coupons/:coupon_id/undo-use": ["admin"],
  "POST /coupons/:coupon_id/pause": ["admin"],
  "POST /coupons/:coupon_id/resume": ["admin"],
  "POST /coupons/:coupon_id/count": ["admin"],
  "POST /coupons/:coupon_id/expiry": ["admin"],
  "GET /users/:user_id/coupons": anyone,
  "POST /users": ["admin"],
  "GET /users": ["admin"],
  "POST /users/import": ["admin"],
  "GET /coupons/:coupon_id/grants": ["admin"],
};

test("each route has its rights here", () => {
  const routes = world.app.routes.map(({ method, path }) => `${method} ${path}`);
  // Pages are public, and /metrics has rights of its own: server/observability/metrics.test.ts.
  const open = ["/metrics", ...Object.keys(pages)].map((path) => `GET ${path}`);
  assert.deepEqual(routes.sort(), [...Object.keys(rights), ...open].sort());
});

for (const [route, roles] of Object.entries(rights)) {
  const target = route.replace(":coupon_id", "999999").replace(":user_id", "7");
  const call = (token?: string) =>
    world.call(target, {
      ...(token === undefined ? {} : { token }),
      ...(route.startsWith("POST") ? { body: {} } : {}),
    });

  if (roles === "public") {
    const status = route === "POST /demo/token" ? 404 : 200; // without a demo it is not there
    test(`${route}: public`, async () => assert.equal((await call()).status, status));
    continue;
  }

  test(`${route}: no token, bad token`, async () => {
    for (const [token, detail] of [
      [undefined, "A bearer token is needed."],
      ["x".repeat(4097), "A bearer token is needed."],
      [`${adminToken}x`, "The bearer token is not valid."],
    ] as const) {
      const answer = await call(token);
      assertProblem(answer, 401, { outcome: "unauthenticated", detail });
      assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="coupons"');
    }
  });

  test(`${route}: ${roles.join(", ")}`, async () => {
    const tokens = { user: await userToken(7), service: serviceToken, admin: adminToken };
    for (const [role, token] of Object.entries(tokens)) {
      const answer = await call(token);
      if (roles.includes(role)) assert.ok(![401, 403, 500, 503].includes(answer.status), role);
      else
        assertProblem(answer, 403, {
          outcome: "forbidden",
          detail: `This takes the role ${roles.join(" or ")}.`,
        });
    }
  });
}

const acting = {
  issue: (coupon: number, body: object): [string, object] => [`POST /coupons/${coupon}/issue`, body],
  use: (coupon: number, body: object): [string, object] => [
    `POST /coupons/${coupon}/use`,
    { reference: "r", ...body },
  ],
};
for (const [name, request] of Object.entries(acting)) {
  test(`${name}: a user for another`, async () => {
    const [mine, other] = [await world.newUser(), await world.newUser()];
    const [route, body] = request(await world.newCoupon(), { user_id: other });
    assertProblem(await asUser(mine, route, { body }), 403, {
      outcome: "forbidden",
      detail: "A user acts for itself only.",
    });
  });

  test(`${name}: a user that names itself`, async () => {
    const { user_id, coupon_id } = await holder();
    const [route, body] = request(coupon_id, { user_id });
    assert.equal((await asUser(user_id, route, { body })).status, 200);
  });

  for (const [role, token] of Object.entries({ service: serviceToken, admin: adminToken })) {
    test(`${name}: a ${role} for whom it names`, async () => {
      const { user_id, coupon_id } = await holder();
      const [route, body] = request(coupon_id, { user_id });
      const answer = await world.call(route, { token, body });
      assert.deepEqual([answer.status, answer.body.user_id], [200, user_id]);
    });

    test(`${name}: a ${role} that names nobody`, async () => {
      const [route, body] = request(1, {});
      assertProblem(await world.call(route, { token, body }), 400, {
        outcome: "invalid_request",
        detail: `user_id: is needed from role ${role}`,
        errors: [{ member: "user_id", detail: `is needed from role ${role}` }],
      });
    });
  }
}

test("wallet: a user's own, a service's and an admin's any", async () => {
  const { user_id, coupon_id } = await holder();
  for (const token of [await userToken(user_id), serviceToken, adminToken]) {
    const { body } = await world.call(`GET /users/${user_id}/coupons`, { token });
    assert.deepEqual(
      body.coupons.map((coupon: { coupon_id: number }) => coupon.coupon_id),
      [coupon_id],
    );
  }
  assertProblem(await asUser(user_id, `GET /users/${user_id + 1}/coupons`), 403, {
    outcome: "forbidden",
    detail: "A user acts for itself only.",
  });
});

// ---- Outcomes -------------------------------------------------------------------------------------------------------

/** What each outcome needs, and its answer: members besides outcome and detail. */
const cases: {
  [C in Command]: Record<keyof (typeof outcomes)[C], () => Promise<[Answer, Record<string, unknown>]>>;
} = {
  create_coupon: {
    created: async () => {
      const answer = await asAdmin("POST /coupons", offer("CREATED", "2030-01-01"));
      return [answer, { coupon_id: answer.body.coupon_id, live_on: "2030-01-01", slot: 1 }];
    },
    already_created: async () => {
      const first = await asAdmin("POST /coupons", offer("TWICE", "2030-01-02"));
      const { outcome: _, ...same } = first.body;
      return [await asAdmin("POST /coupons", offer("TWICE", "2030-01-02")), same];
    },
    code_taken: async () => {
      const first = await asAdmin("POST /coupons", offer("TAKEN", "2030-01-03"));
      const { outcome: _, ...other } = first.body;
      return [await asAdmin("POST /coupons", offer("taken", "2030-01-03")), other];
    },
    start_time_taken: async () => {
      const { coupon_id } = (await asAdmin("POST /coupons", offer("TIME", "2030-01-04"))).body;
      const answer = await asAdmin("POST /coupons", { ...offer("TIME-2", "2030-01-04"), count: 2 });
      return [answer, { coupon_id, live_on: "2030-01-04" }];
    },
    count_taken: async () => {
      const { coupon_id } = (await asAdmin("POST /coupons", offer("COUNT", "2030-01-05"))).body;
      const answer = await asAdmin("POST /coupons", {
        ...offer("COUNT-2", "2030-01-05"),
        start_time: "2030-01-05T11:00:00Z",
      });
      return [answer, { coupon_id, live_on: "2030-01-05" }];
    },
    day_full: async () => {
      for (const i of [1, 2, 3, 4]) {
        const start_time = `2030-01-06T0${i}:00:00Z`;
        const answer = await asAdmin("POST /coupons", {
          ...offer(`FULL-${i}`, "2030-01-06"),
          start_time,
          count: i,
        });
        if (i === 4) return [answer, { live_on: "2030-01-06" }];
        assert.equal(answer.status, 201);
      }
      throw new Error("not reached");
    },
  },
  issue_coupon: {
    coupon_not_found: async () => [await world.issue(999_999, 1), { coupon_id: 999_999, user_id: 1 }],
    issued: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon()];
      const answer = await world.issue(coupon_id, user_id);
      assert.match(answer.body.issued_at, INSTANT);
      const { issued_at } = answer.body;
      return [answer, { coupon_id, user_id, position: 1, issued_on: issued_at.slice(0, 10), issued_at }];
    },
    already_issued: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon({ count: 1 })];
      const { outcome: _, ...first } = (await world.issue(coupon_id, user_id)).body;
      return [await world.issue(coupon_id, user_id), first];
    },
    not_started: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon({ from: "1 hour" })];
      const answer = await world.issue(coupon_id, user_id);
      const { starts_in } = answer.body;
      assert.ok(starts_in > 3_000 && starts_in < 3_600);
      assert.equal(answer.headers.get("retry-after"), `${Math.ceil(starts_in)}`);
      return [answer, { coupon_id, user_id, starts_in }];
    },
    ended: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon({ until: "-1 second" })];
      return [await world.issue(coupon_id, user_id), { coupon_id, user_id }];
    },
    paused: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon()];
      await asAdmin(`POST /coupons/${coupon_id}/pause`);
      return [await world.issue(coupon_id, user_id), { coupon_id, user_id }];
    },
    sold_out: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon({ count: 1 })];
      await world.issue(coupon_id, await world.newUser());
      return [await world.issue(coupon_id, user_id), { coupon_id, user_id }];
    },
    user_not_found: async () => {
      const coupon_id = await world.newCoupon();
      return [await world.issue(coupon_id, NOBODY), { coupon_id, user_id: NOBODY }];
    },
    daily_limit_reached: async () => {
      const { user_id } = await holder();
      const coupon_id = await world.newCoupon();
      return [await world.issue(coupon_id, user_id), { coupon_id, user_id }];
    },
  },
  use_coupon: {
    coupon_not_found: async () => [
      await asUser(1, "POST /coupons/999999/use", { body: { reference: "r" } }),
      { coupon_id: 999_999, user_id: 1 },
    ],
    not_issued: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon()];
      return [
        await asUser(user_id, `POST /coupons/${coupon_id}/use`, { body: { reference: "r" } }),
        { coupon_id, user_id },
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
      const { owner } = world.scratch;
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
  },
  undo_use: {
    coupon_not_found: async () => [
      await asAdmin("POST /coupons/999999/undo-use", { user_id: 1, reason: "r" }),
      { coupon_id: 999_999, user_id: 1 },
    ],
    not_issued: async () => {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon()];
      return [
        await asAdmin(`POST /coupons/${coupon_id}/undo-use`, { user_id, reason: "r" }),
        { coupon_id, user_id },
      ];
    },
    not_used: async () => {
      const ids = await holder();
      return [
        await asAdmin(`POST /coupons/${ids.coupon_id}/undo-use`, { user_id: ids.user_id, reason: "r" }),
        { ...ids },
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
  },
  pause_coupon: {
    coupon_not_found: async () => [await asAdmin("POST /coupons/999999/pause"), { coupon_id: 999_999 }],
    paused: async () => {
      const coupon_id = await world.newCoupon();
      return [await asAdmin(`POST /coupons/${coupon_id}/pause`), { coupon_id }];
    },
    already_paused: async () => {
      const coupon_id = await world.newCoupon();
      await asAdmin(`POST /coupons/${coupon_id}/pause`);
      return [await asAdmin(`POST /coupons/${coupon_id}/pause`), { coupon_id }];
    },
  },
  resume_coupon: {
    coupon_not_found: async () => [await asAdmin("POST /coupons/999999/resume"), { coupon_id: 999_999 }],
    not_paused: async () => {
      const coupon_id = await world.newCoupon();
      return [await asAdmin(`POST /coupons/${coupon_id}/resume`), { coupon_id }];
    },
    resumed: async () => {
      const coupon_id = await world.newCoupon();
      await asAdmin(`POST /coupons/${coupon_id}/pause`);
      return [await asAdmin(`POST /coupons/${coupon_id}/resume`), { coupon_id }];
    },
  },
  set_coupon_count: {
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
      await world.issue(coupon_id, await world.newUser());
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
  },
  set_coupon_expiry: {
    coupon_not_found: async () => [
      await asAdmin("POST /coupons/999999/expiry", { expiry: "2031-01-01T00:00:00Z" }),
      { coupon_id: 999_999 },
    ],
    unchanged: async () => {
      const coupon_id = await world.newCoupon();
      const { expiry } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
      return [await asAdmin(`POST /coupons/${coupon_id}/expiry`, { expiry }), { coupon_id }];
    },
    not_after_start: async () => {
      const coupon_id = await world.newCoupon();
      const { start_time } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
      return [await asAdmin(`POST /coupons/${coupon_id}/expiry`, { expiry: start_time }), { coupon_id }];
    },
    in_the_past: async () => {
      const coupon_id = await world.newCoupon({ from: "-3 years" });
      const { server_time } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
      return [await asAdmin(`POST /coupons/${coupon_id}/expiry`, { expiry: server_time }), { coupon_id }];
    },
    changed: async () => {
      const coupon_id = await world.newCoupon();
      const answer = await asAdmin(`POST /coupons/${coupon_id}/expiry`, {
        expiry: "2031-01-01T00:00:00+02:00",
      });
      const { expiry } = (await asAdminGet(`/coupons/${coupon_id}`)).body;
      assert.equal(expiry, "2030-12-31T22:00:00Z");
      return [answer, { coupon_id }];
    },
  },
};

function offer(code: string, day: string) {
  const [start_time, expiry] = [`${day}T10:00:00Z`, "2031-01-01T00:00:00Z"];
  return { code, message: "m", description: "d", start_time, expiry, count: 1, metadata: {} };
}

function asAdminGet(path: string): Promise<Answer> {
  return world.call(`GET ${path}`, { token: adminToken });
}

for (const [command, table] of Object.entries(outcomes) as [
  Command,
  Record<string, { status: number; detail: string }>,
][])
  for (const [outcome, { status, detail }] of Object.entries(table))
    test(`${command}: ${outcome}`, async () => {
      const run = (cases[command] as Record<string, () => Promise<[Answer, Record<string, unknown>]>>)[
        outcome
      ];
      assert.ok(run);
      const [answer, members] = await run();
      if (status >= 300) {
        assertProblem(answer, status, { outcome, detail, ...members });
        assert.equal(answer.headers.has("retry-after"), outcome === "not_started");
      } else {
        // What has no value in a success is null.
        const told = Object.fromEntries(Object.entries(answer.body).filter(([, value]) => value !== null));
        assert.deepEqual(told, { outcome, ...members });
        assert.equal(answer.status, status);
        assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
      }
    });

test("users: created, updated, unchanged", async () => {
  // As PostgreSQL's array syntax could misread them.
  const names = ["NULL", 'a "quoted" one', "back\\slash", "{1,2}", " , ", "Zoë 🎟️"];
  const users = names.map((display_name, i) => ({ user_id: 8_000_000 + i, display_name }));
  const outcomesOf = async (given: object[]) =>
    (await asAdmin("POST /users", { users: given })).body.users.map(
      (row: { outcome: string }) => row.outcome,
    );
  assert.deepEqual(await asAdmin("POST /users", { users }).then((answer) => [answer.status, answer.body]), [
    200,
    { users: users.map(({ user_id }) => ({ outcome: "created", user_id })) },
  ]);
  const stored = await world.scratch.owner`
    select display_name from coupon.users where id >= 8000000 and id < 8000010 order by id`;
  assert.deepEqual(
    stored.map((row) => row["display_name"]),
    names,
  );
  const renamed = users.map((user, i) => (i === 0 ? { ...user, display_name: "Ann" } : user));
  assert.deepEqual(await outcomesOf(renamed), ["updated", ...Array(names.length - 1).fill("unchanged")]);
});

test("what is changed is in the audit: who by the token, through which login, and why", async () => {
  const audited = async (work: () => Promise<unknown>) => {
    const { owner } = world.scratch;
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
  const used = () => world.call(`POST ${at("use")}`, { token, body: { user_id, reference: "r" } });
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

test("a coupon that isn't there: by id, by code, its stats", async () => {
  for (const path of ["/coupons/999999", "/coupons?code=NOBODY", "/coupons/999999/stats"])
    assertProblem(await asAdminGet(path), 404, {
      outcome: "coupon_not_found",
      detail: "There is no such coupon.",
    });
});

test("a path that isn't there, a method that it doesn't have", async () => {
  for (const route of [
    "GET /nothing",
    "GET /coupons/1/issue",
    "DELETE /coupons/1",
    "GET /coupons/1/",
    "GET //livez",
  ])
    assertProblem(await world.call(route, { token: adminToken }), 404, {
      outcome: "no_such_route",
      detail: "There is nothing at this path.",
    });
});

// ---- Values that come back ------------------------------------------------------------------------------------------

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
    ...offer("EXACT", "2030-02-01"),
    message: `${"m".repeat(199)}🎟`,
    description: "",
    start_time: "2030-02-01T10:00:00.123456Z",
    expiry: "2030-02-03T00:00:00.000001+05:30",
    metadata,
  };
  const { body } = await asAdmin("POST /coupons", given);
  assert.equal(body.outcome, "created");
  const byId = await asAdminGet(`/coupons/${body.coupon_id}`);
  const { server_time, starts_in, ...coupon } = byId.body;
  assert.match(server_time, INSTANT);
  assert.deepEqual(coupon, {
    ...given,
    coupon_id: body.coupon_id,
    expiry: "2030-02-02T18:30:00.000001Z",
    issued: 0,
    remaining: 1,
    sold_out: false,
    paused: false,
  });
  const micros = (time: string) =>
    BigInt(Date.parse(`${time.slice(0, 19)}Z`)) * 1000n + BigInt(`${time.slice(20, -1)}000000`.slice(0, 6));
  assert.equal(
    Math.round(starts_in * 1e6),
    Number(micros(given.start_time) - micros(server_time)),
    "starts_in is start_time - server_time",
  );

  const { server_time: _, starts_in: __, ...byCode } = (await asAdminGet("/coupons?code=exact")).body;
  assert.deepEqual(byCode, coupon);
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

test("live: an ETag, and 304 until a coupon changes", async () => {
  const live = (etag?: string) =>
    world.call("GET /coupons/live", {
      token: userToken(1),
      ...(etag === undefined ? {} : { headers: { "if-none-match": etag } }),
    });
  const coupon = await world.newCoupon();
  const first = await live();
  const etag = first.headers.get("etag") ?? "";
  assert.match(etag, /^W\/"[\w-]{22}"$/);
  assert.equal(first.headers.get("cache-control"), "private, no-cache");
  assert.equal((await live()).headers.get("etag"), etag);
  for (const known of [etag, etag.slice(2), `"other", ${etag}`, "*"]) {
    const { status, headers, body } = await live(known);
    assert.deepEqual([status, headers.get("etag"), body], [304, etag, null], known);
  }
  assert.equal((await live('"other"')).status, 200);

  await world.issue(coupon, await world.newUser());
  const changed = await live(etag);
  assert.equal(changed.status, 200);
  assert.notEqual(changed.headers.get("etag"), etag);
});

test("live: one query serves all who wait", async () => {
  const asked = world.db.liveCoupons;
  let queries = 0;
  world.db.liveCoupons = () => {
    queries += 1;
    return asked();
  };
  try {
    const token = userToken(1);
    const answers = await Promise.all(
      Array.from({ length: 500 }, () => world.call("GET /coupons/live", { token })),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.ok(queries <= 3, `${queries} queries`);
    assert.equal(new Set(answers.map(({ body }) => JSON.stringify(body))).size, queries);
  } finally {
    world.db.liveCoupons = asked;
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
    const { body } = await here.call("GET /coupons/live", { token: await userToken(1) });
    assert.deepEqual(
      body.coupons.map((c: Record<string, unknown>) => [
        c["coupon_id"],
        c["remaining"],
        c["sold_out"],
        c["paused"],
        c["starts_in"],
      ]),
      [
        [paused, 10, false, true, null],
        [out, 0, true, false, null],
        [open, 10, false, false, null],
      ],
    );
  } finally {
    await here.close();
  }
});

test("stats: from the first grant to the last", async () => {
  const coupon_id = await world.newCoupon({ count: 2, from: "-90061.5 seconds" });
  const stats = async () => (await asAdminGet(`/coupons/${coupon_id}/stats`)).body;
  const { code, time_to_sell_out: none, ...fresh } = await stats();
  assert.equal(none, null);
  assert.deepEqual(fresh, {
    coupon_id,
    count: 2,
    issued: 0,
    remaining: 2,
    used: 0,
    first_issued_at: null,
    last_issued_at: null,
  });
  const [first, second] = [await world.newUser(), await world.newUser()];
  const first_issued_at = (await world.issue(coupon_id, first)).body.issued_at;
  const last_issued_at = (await world.issue(coupon_id, second)).body.issued_at;
  await asUser(first, `POST /coupons/${coupon_id}/use`, { body: { reference: "r" } });
  const { time_to_sell_out, ...sold } = await stats();
  assert.deepEqual(sold, {
    ...fresh,
    code,
    issued: 2,
    remaining: 0,
    used: 1,
    first_issued_at,
    last_issued_at,
  });
  assert.ok(time_to_sell_out > 90_061.5 && time_to_sell_out < 90_361);
});

test("parseSeconds reads what PostgreSQL writes", async () => {
  const rows = await world.scratch.owner.begin(async (sql) => {
    await sql`set local IntervalStyle = iso_8601`;
    return sql`
      select to_json(i.value)#>>'{}' as text, extract(epoch from i.value)::text as seconds
      from (
        select timestamptz '2030-01-01Z' + s.difference - timestamptz '2030-01-01Z' as value
        from unnest(array['0', '0.000001 s', '-0.000001 s', '1 s', '59.999999 s', '-59.999999 s', '60 s', '3600 s',
          '3661.123456 s', '-3661.123456 s', '86400 s', '-86400 s', '90061.5 s', '-90061.5 s', '25 h', '31 days',
          '400 days 1 s', '-400 days -1 s', '7000 years']::interval[]) s (difference)
      ) i
    `;
  });
  assert.equal(rows.length, 19);
  for (const row of rows) assert.equal(parseSeconds(row["text"]), Number(row["seconds"]), row["text"]);
});

test("wallet: pages of several days, the newest first", async () => {
  const user_id = await world.newUser();
  const other = await world.newUser();
  const { owner } = world.scratch;
  const ids = await Promise.all(Array.from({ length: 5 }, () => world.newCoupon()));
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user`;
    for (const [day, coupon] of ids.entries())
      for (const [place, holds] of [user_id, other].entries())
        await sql`
          insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position, used_date, use_reference)
          select ${holds}, c.id, t.at, c.expiry, t.at::date, ${place + 1},
            case when ${day} = 1 then t.at end, case when ${day} = 1 then 'r' end
          from coupon.coupons c
          cross join (select timestamptz '2029-05-01 10:00:00.5Z' + ${day} * interval '1 day' - interval '4 years') t (at)
          where c.id = ${coupon}`;
    await sql`alter table coupon.user_coupons enable trigger user`;
  });

  const page = async (query: string) =>
    (await world.call(`GET /users/${user_id}/coupons${query}`, { token: serviceToken })).body;
  const days = (body: { coupons: { issued_on: string }[] }) => body.coupons.map((row) => row.issued_on);
  assert.deepEqual(days(await page("")), [
    "2025-05-05",
    "2025-05-04",
    "2025-05-03",
    "2025-05-02",
    "2025-05-01",
  ]);
  assert.equal((await page("")).next_before, null);

  const first = await page("?page_size=2");
  assert.deepEqual([days(first), first.next_before], [["2025-05-05", "2025-05-04"], "2025-05-04"]);
  const second = await page("?page_size=2&before=2025-05-04");
  assert.deepEqual([days(second), second.next_before], [["2025-05-03", "2025-05-02"], "2025-05-02"]);
  const third = await page("?page_size=2&before=2025-05-02");
  assert.deepEqual([days(third), third.next_before], [["2025-05-01"], null]);
  assert.deepEqual(await page("?before=2025-05-01"), { user_id, coupons: [], next_before: null });

  const { code, expiry, ...used } = second.coupons[1];
  assert.deepEqual(used, {
    state: "used",
    coupon_id: ids[1],
    message: "m",
    description: "d",
    position: 1,
    issued_on: "2025-05-02",
    issued_at: "2025-05-02T10:00:00.5Z",
    used_date: "2025-05-02T10:00:00.5Z",
    use_reference: "r",
  });
});

test("wallet: of nobody", async () => {
  const { status, body } = await world.call(`GET /users/${NOBODY}/coupons`, { token: serviceToken });
  assert.deepEqual([status, body], [200, { user_id: NOBODY, coupons: [], next_before: null }]);
});

// ---- Requests that are wrong ----------------------------------------------------------------------------------------

const invalid = (...errors: [member: string, detail: string][]) => ({
  outcome: "invalid_request",
  detail: `${errors[0]?.[0] || "the request"}: ${errors[0]?.[1]}`,
  errors: errors.map(([member, detail]) => ({ member, detail })),
});

const coupon = offer("WRONG", "2030-03-01");
const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
const wrongBodies: [name: string, route: string, body: unknown, ...errors: [string, string][]][] = [
  ["an unknown member", "POST /coupons", { ...coupon, id: 1 }, ["id", "is not a member of this request"]],
  [
    "two unknown members",
    "POST /coupons/1/pause",
    { a: 1, b: 2 },
    ["a", "is not a member of this request"],
    ["b", "is not a member of this request"],
  ],
  ["no object", "POST /coupons/1/pause", [], ["", "must be an object"]],
  ["null", "POST /coupons/1/pause", null, ["", "must be an object"]],
  ["code missing", "POST /coupons", { ...coupon, code: undefined }, ["code", "must be a string"]],
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
    "2030-03-01",
    "2030-03-01T10:00:00",
    "2030-02-30T10:00:00Z",
    "now",
    "2030-03-01 10:00:00Z",
    "infinity",
    1_900_000_000,
    null,
  ].map((time): [string, string, unknown, [string, string]] => [
    `start_time ${time}`,
    "POST /coupons",
    { ...coupon, start_time: time },
    ["start_time", "must be a time like 2026-11-22T10:00:00Z"],
  ]),
  ...(
    [
      ["1", "must be a number"],
      [null, "must be a number"],
      [0, "must be at least 1"],
      [-1, "must be at least 1"],
      [1.5, "must be a whole number"],
      [100_000_001, "must be at most 100000000"],
    ] as const
  ).map(([count, why]): [string, string, unknown, [string, string]] => [
    `count ${JSON.stringify(count)}`,
    "POST /coupons",
    { ...coupon, count },
    ["count", why],
  ]),
  ...[[], "{}", null, 1].map((metadata): [string, string, unknown, [string, string]] => [
    `metadata ${JSON.stringify(metadata)}`,
    "POST /coupons",
    { ...coupon, metadata },
    ["metadata", "must be a JSON object"],
  ]),
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
    "metadata too long",
    "POST /coupons",
    { ...coupon, metadata: { a: "x".repeat(4096) } },
    ["metadata", "must have at most 4096 characters"],
  ],
  [
    "metadata with NUL",
    "POST /coupons",
    { ...coupon, metadata: { a: ["\0"] } },
    ["metadata", "must have valid text and numbers only"],
  ],
  [
    "metadata with half a pair",
    "POST /coupons",
    { ...coupon, metadata: { "\udc00": 1 } },
    ["metadata", "must have valid text and numbers only"],
  ],
  [
    "metadata with an endless number",
    "POST /coupons",
    JSON.stringify({ ...coupon, metadata: { a: 0 } }).replace('"a":0', '"a":1e999'),
    ["metadata", "must have valid text and numbers only"],
  ],
  ...(
    [
      ["7", "must be a number"],
      [0, "must be at least 1"],
      [-1, "must be at least 1"],
      [1.5, "must be a whole number"],
      [2 ** 53, "must be at most 9007199254740991"],
    ] as const
  ).map(([user_id, why]): [string, string, unknown, [string, string]] => [
    `user_id ${JSON.stringify(user_id)}`,
    "POST /coupons/1/issue",
    { user_id },
    ["user_id", why],
  ]),
  ["reference missing", "POST /coupons/1/use", { user_id: 1 }, ["reference", "must be a string"]],
  [
    "reference too long",
    "POST /coupons/1/use",
    { user_id: 1, reference: "r".repeat(201) },
    ["reference", "must have at most 200 characters"],
  ],
  ["reason empty", "POST /coupons/1/undo-use", { user_id: 1, reason: "" }, ["reason", "must not be empty"]],
  ["reason missing", "POST /coupons/1/undo-use", { user_id: 1 }, ["reason", "must be a string"]],
  ...Object.entries({
    "POST /coupons": coupon,
    "POST /coupons/1/pause": {},
    "POST /coupons/1/resume": {},
    "POST /coupons/1/count": { count: 1 },
    "POST /coupons/1/expiry": { expiry: "2031-01-01T00:00:00Z" },
    "POST /users": { users: [{ user_id: 1, display_name: "n" }] },
  }).map(([route, given]): [string, string, unknown, [string, string]] => [
    `${route} with too long a reason`,
    route,
    { ...given, reason: "r".repeat(501) },
    ["reason", "must have at most 500 characters"],
  ]),
  ["no users", "POST /users", { users: [] }, ["users", "must not be empty"]],
  ["users an object", "POST /users", { users: {} }, ["users", "must be an array"]],
  [
    "a user twice",
    "POST /users",
    { users: [1, 1].map((user_id) => ({ user_id, display_name: "n" })) },
    ["users", "must not repeat a user_id"],
  ],
  [
    "too many users",
    "POST /users",
    { users: Array.from({ length: 10_001 }, (_, i) => ({ user_id: i + 1, display_name: "n" })) },
    ["users", "must have at most 10000 users"],
  ],
  [
    "a user's name",
    "POST /users",
    {
      users: [
        { user_id: 1, display_name: "n" },
        { user_id: 2, display_name: "\0" },
      ],
    },
    ["users.1.display_name", "must be valid text"],
  ],
];
for (const [name, route, body, ...errors] of wrongBodies)
  test(`400: ${name}`, async () => assertProblem(await asAdmin(route, body), 400, invalid(...errors)));

test("metadata of 5 levels", async () => {
  const answer = await asAdmin("POST /coupons", { ...offer("LEVELS", "2030-03-02"), metadata: nested(5) });
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
      detail: `${member} ${detail}`,
      errors: [{ member, detail }],
    }));

for (const time of ["0000-01-01T00:00:00Z", "2030-03-01T10:00:00+23:59"])
  test(`400 from PostgreSQL: ${time}`, async () =>
    assertProblem(await asAdmin("POST /coupons", { ...coupon, start_time: time }), 400, {
      outcome: "invalid_request",
      detail: "A value in the request can't be stored.",
    }));

const wrongQueries: [route: string, member: string, detail: string][] = [
  ["/coupons", "code", "must be a string"],
  ["/coupons?code=", "code", "must not be empty"],
  ["/coupons?code=A&code=B", "code", "must be a string"],
  ["/coupons?code=A&x=1", "x", "is not a member of this request"],
  ["/coupons?code=%00", "code", "must be valid text"],
  ["/coupons/live?x", "x", "is not a member of this request"],
  ["/coupons/upcoming?page_size=0", "page_size", "must be a whole number"],
  ["/coupons/1?x=1", "x", "is not a member of this request"],
  ["/coupons/1/stats?x=1", "x", "is not a member of this request"],
  ["/users/1/coupons?page_size=0", "page_size", "must be a whole number"],
  ["/users/1/coupons?page_size=1001", "page_size", "must be at most 1000"],
  ["/users/1/coupons?page_size=1&page_size=2", "page_size", "must be given once"],
  ["/coupons/1/grants?after=100000001", "after", "must be at most 100000000"],
  ["/users/1/coupons?before=2030-02-30", "before", "must be a day like 2026-11-22"],
  ["/users/1/coupons?before=yesterday", "before", "must be a day like 2026-11-22"],
  ["/users/1/coupons?after=2030-01-01", "after", "is not a member of this request"],
  ...["0", "-1", "1.5", "9007199254740992", "x", "01", "1e3", "%31%30x", "%zz", "٤"].flatMap(
    (id): [string, string, string][] => [
      [`/coupons/${id}`, "coupon_id", ""],
      [`/users/${id}/coupons`, "user_id", ""],
    ],
  ),
];
for (const [path, member, detail] of wrongQueries)
  test(`400: GET ${path}`, async () =>
    assertProblem(
      await asAdminGet(path),
      400,
      invalid([
        member,
        detail ||
          (path.includes("9007199254740992")
            ? "must be at most 9007199254740991"
            : "must be a whole number from 1"),
      ]),
    ));

test("400: a path id before a body", async () =>
  assertProblem(
    await asAdmin("POST /coupons/x/issue", { x: 1 }),
    400,
    invalid(["coupon_id", "must be a whole number from 1"]),
  ));

test("400: no JSON", async () => {
  for (const body of ["{", "{'a': 1}", " ", '"\n"', "{}x"])
    assertProblem(await asAdmin("POST /coupons/1/pause", body), 400, {
      outcome: "invalid_request",
      detail: "The body is not valid JSON.",
    });
});

test("415: another content type", async () => {
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "text/plain; application/json",
  ])
    assertProblem(
      await world.call("POST /coupons/1/pause", {
        token: adminToken,
        body: "{}",
        headers: { "content-type": type },
      }),
      415,
      { outcome: "invalid_request", detail: "The body must be application/json." },
    );
  const { status } = await world.call("POST /coupons/999999/pause", {
    token: adminToken,
    body: "{}",
    headers: { "content-type": "Application/JSON; charset=utf-8" },
  });
  assert.equal(status, 404);
});

test("413: a body that is too large", async () => {
  const padded = (bytes: number) => `{}${" ".repeat(bytes - 2)}`;
  assert.equal((await asAdmin("POST /coupons/999999/pause", padded(16_384))).status, 404);
  assertProblem(await asAdmin("POST /coupons/999999/pause", padded(16_385)), 413, {
    outcome: "invalid_request",
    detail: "The body must have at most 16384 bytes.",
  });
  assert.equal((await asAdmin("POST /users", padded(4_194_304))).status, 400);
  assertProblem(await asAdmin("POST /users", padded(4_194_305)), 413, {
    outcome: "invalid_request",
    detail: "The body must have at most 4194304 bytes.",
  });
});

// ---- Over a real connection -----------------------------------------------------------------------------------------

/** Sends these bytes to a server of the app and returns all that it answers until it or we close. */
async function overTheWire(...chunks: string[]): Promise<string> {
  const server = createAdaptorServer({ fetch: world.app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const connection: Connection = connectTcp((server.address() as AddressInfo).port, "127.0.0.1");
  for (const chunk of chunks) connection.write(chunk);
  try {
    let answer = "";
    for await (const data of connection) {
      answer += data;
      if (answer.endsWith("}")) break;
    }
    return answer;
  } finally {
    connection.destroy();
    server.closeAllConnections();
    server.close();
  }
}

const head = (length: string) =>
  `POST /coupons/999999/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminToken}\r\n` +
  `Content-Type: application/json\r\n${length}\r\n\r\n`;

test("411: a body without Content-Length", async () => {
  const answer = await overTheWire(head("Transfer-Encoding: chunked"), "2\r\n{}\r\n0\r\n\r\n");
  assert.match(answer, /^HTTP\/1.1 411 .*A body must come with its Content-Length/s);
});

test("413: announced, and never sent", async () => {
  assert.match(await overTheWire(head("Content-Length: 99999999999")), /^HTTP\/1.1 413 /);
});

test("no body at all, and an empty one", async () => {
  assert.match(await overTheWire(head("X-None: 1")), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
  assert.match(await overTheWire(head("Content-Length: 0")), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
});

test("users in lines: each is answered, a wrong one is told, and they come back as they are", async () => {
  const first = 7_000_001;
  const text = [
    `{"user_id": ${first}, "display_name": "Ann"}`,
    '{"user_id": 0, "display_name": "Nobody"}',
    `{"user_id": ${first + 1}, "display_name": "Ben"}`,
  ].join("\n");
  const send = (headers = {}) =>
    world.call("POST /users/import?reason=moved", {
      token: adminToken,
      body: text,
      headers: { "content-type": "application/x-ndjson", ...headers },
    });
  const { status, body } = await send();
  assert.equal(status, 200);
  assert.deepEqual(body, [
    { line: 1, outcome: "created", user_id: first },
    { line: 2, outcome: "invalid", detail: "user_id: must be at least 1" },
    { line: 3, outcome: "created", user_id: first + 1 },
    { outcome: "done", lines: 3, created: 2, updated: 0, unchanged: 0, invalid: 1 },
  ]);
  assert.deepEqual((await send()).body.at(-1).unchanged, 2);
  const [trail] = await world.scratch.admin`select reason, actor, new_values from audit_trail() limit 1`;
  assert.deepEqual(trail, { reason: "moved", actor: "admin:root", new_values: { created: 2, updated: 0 } });
  assert.deepEqual(
    (await world.call(`GET /users?after=${first - 1}`, { token: adminToken })).body.slice(0, 2),
    [
      { user_id: first, display_name: "Ann" },
      { user_id: first + 1, display_name: "Ben" },
    ],
  );
  assertProblem(await send({ "content-type": "application/json" }), 415, {
    outcome: "invalid_request",
    detail: "The body must be application/x-ndjson.",
  });
});

test("a stream that our mistake ends says so, and it is in the log", async () => {
  const { db, dependencies } = world;
  const mistake = new DatabaseError("defect", "42703", "no such column");
  const app = createApp({ ...dependencies, db: { ...db, listUsers: () => Promise.reject(mistake) } });
  const headers = { authorization: `Bearer ${adminToken}`, "x-request-id": "a-stream" };
  const answer = await app.fetch(new Request("http://localhost/users", { headers }));
  const { outcome, detail, next_after } = JSON.parse(await answer.text());
  assert.deepEqual(
    [outcome, detail, next_after],
    ["internal_error", "This is our mistake, and was logged.", 0],
  );
  const failure = world.logged.findIndex(
    ({ level, request_id }) => level === "error" && request_id === "a-stream",
  );
  assert.equal(world.logged[failure]?.message, "no such column");
  world.logged.splice(failure, 1);
});

test("grants in lines, by position", async () => {
  const coupon_id = await world.newCoupon({ count: 3 });
  const users = [await world.newUser(), await world.newUser()];
  for (const user of users) assert.equal((await world.issue(coupon_id, user)).status, 201);
  const list = (query = "") => world.call(`GET /coupons/${coupon_id}/grants${query}`, { token: adminToken });
  const { body } = await list();
  assert.deepEqual(
    body.map(({ position, user_id, outcome, lines }: Record<string, unknown>) => [
      position,
      user_id,
      outcome,
      lines,
    ]),
    [
      [1, users[0], undefined, undefined],
      [2, users[1], undefined, undefined],
      [undefined, undefined, "done", 2],
    ],
  );
  assert.equal((await list("?after=1")).body.at(-1).lines, 1);
  assert.equal((await world.call("GET /coupons/999999/grants", { token: adminToken })).status, 404);
});

for (const path of ["/coupons/events", "/coupons/status/events"])
  test(`HEAD ${path} watches nothing`, async () => {
    const before = world.app.streams();
    const { status } = await world.app.fetch(
      new Request(`http://localhost${path}`, {
        method: "HEAD",
        headers: { authorization: `Bearer ${adminToken}` },
      }),
    );
    assert.deepEqual([status, world.app.streams()], [200, before]);
  });

test("a list of 10,000 users", async () => {
  const users = Array.from({ length: 10_000 }, (_, i) => ({
    user_id: 7_000_000 + i,
    display_name: "n".repeat(200),
  }));
  const { status, body } = await asAdmin("POST /users", { users });
  assert.deepEqual([status, body.users.length], [200, 10_000]);
});

// ---- What every answer has ------------------------------------------------------------------------------------------

test("x-request-id: kept when it is one", async () => {
  const id = `a.B-1:_${"x".repeat(121)}`;
  const good = await world.call("GET /livez", { headers: { "x-request-id": id } });
  assert.equal(good.headers.get("x-request-id"), id);
  const bad = await world.call("GET /coupons/live", { headers: { "x-request-id": id } });
  assert.deepEqual([bad.headers.get("x-request-id"), bad.body.request_id], [id, id]);
  assert.ok(world.logged.some((line) => line.request_id === id));
});

test("x-request-id: made, and in place of what is none", async () => {
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
  for (const given of [undefined, "", "x".repeat(129), '"><script>', "a b", "a\tb", "a,b", "ü"]) {
    const headers: Record<string, string> = given === undefined ? {} : { "x-request-id": given };
    const answer = await world.call("GET /nothing", { headers });
    assert.match(answer.headers.get("x-request-id") ?? "", uuid);
    assert.equal(answer.body.request_id, answer.headers.get("x-request-id"));
  }
});

test("draining: not ready, connections are closed, requests are served", async (t) => {
  t.after(() => {
    world.state.draining = false;
  });
  world.state.draining = true;
  const ready = await world.call("GET /readyz");
  assertProblem(ready, 503, { outcome: "draining", detail: "This server is ending." });
  assert.deepEqual([ready.headers.get("retry-after"), ready.headers.get("connection")], ["1", "close"]);
  const live = await world.call("GET /coupons/live", { token: serviceToken });
  assert.deepEqual([live.status, live.headers.get("connection")], [200, "close"]);
});

test("a token of the whole length that is allowed", async () => {
  const subject = "x".repeat(200);
  const token = await signToken(env.JWT_SECRET as string, env, { role: "service", subject });
  assert.equal((await world.call("GET /coupons/live", { token })).status, 200);
  assert.equal(
    (await world.call("GET /coupons/live", { headers: { authorization: `bearer ${token}` } })).status,
    200,
  );
  for (const authorization of [token, `Basic ${token}`, `Bearer  ${token}`, `Bearer ${token} x`, "Bearer"])
    assert.equal((await world.call("GET /coupons/live", { headers: { authorization } })).status, 401);
});
