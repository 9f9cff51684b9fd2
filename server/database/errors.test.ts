/** What fails and stays so is told as our mistake, on every door, and never as "busy". Each fault is planted in a database of its own. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import {
  type Answer,
  adminToken,
  assertProblem,
  openApp,
  openWorld,
  userToken,
} from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { waiting } from "../../bench/harness/waiting.ts";
import { connect, withConnection } from "../../db/connect.ts";
import { DatabaseError, explain, lasting, mayBeOfOneValue } from "./errors.ts";

const OURS = { outcome: "internal_error", detail: "This is our mistake, and was logged." };

/** A database with users 1 to 9, a coupon that can be issued, and the service. */
async function open(t: TestContext, options: Parameters<typeof openWorld>[0] = {}) {
  const world = await openWorld(options);
  t.after(() => world.close());
  await world.newUsers(9);
  return { ...world, id: await world.newCoupon() };
}
type World = Awaited<ReturnType<typeof open>>;

/** What the log says of the last failure: where an operator has to look. */
function lastFailure({ failures }: Pick<World, "failures">) {
  const { kind, sqlstate, schema, table, constraint } = failures().at(-1) ?? {};
  return [kind, sqlstate, `${schema}.${table}`, constraint];
}

/** A new coupon, of another day than any other. */
const newCoupon = () => ({
  ...{ code: "LATER", message: "m", description: "d", count: 77 },
  start_time: new Date(Date.now() + 9 * 86_400_000).toISOString(),
  expiry: new Date(Date.now() + 10 * 86_400_000).toISOString(),
});

async function use(world: World, userId: number): Promise<Answer> {
  const call = { token: await userToken(userId), body: { reference: "r" } };
  return world.call(`POST /coupons/${world.id}/use`, call);
}

test("a sequence behind its table: an internal error that names the constraint, and no retry is told to help", async (t) => {
  const world = await open(t);
  const { owner } = world.scratch;
  const [{ table = "" } = {}] = await owner`select pg_get_serial_sequence('coupon.audit', 'id') as table`;
  for (let i = 0; i < 3; i++)
    for (const change of ["pause", "resume"])
      await world.call(`POST /coupons/${world.id}/${change}`, { token: adminToken, body: {} });
  assert.equal((await world.issue(world.id, 1)).status, 201);

  await owner`select setval(${table}::text, 1, false)`;
  const used = await use(world, 1);
  assertProblem(used, 500, OURS);
  assert.equal(used.headers.get("retry-after"), null);
  assert.deepEqual(lastFailure(world), ["defect", "23505", "coupon.audit", "audit_pkey"]);
  assert.equal(world.db.pools.use.errors.defect, 1);
  const paused = await world.call(`POST /coupons/${world.id}/pause`, { token: adminToken, body: {} });
  assertProblem(paused, 500, OURS);
  await owner`select setval(${table}::text, 1000)`;
  assert.equal((await use(world, 1)).body.outcome, "used");

  await owner`select setval(pg_get_serial_sequence('coupon.coupons', 'id'), 1, false)`;
  for (let i = 0; i < 2; i++) await world.newCoupon().catch(() => {});
  await owner`select setval(pg_get_serial_sequence('coupon.coupons', 'id'), 1, false)`;
  const created = await world.call("POST /coupons", { token: adminToken, body: newCoupon() });
  assertProblem(created, 500, OURS);
  assert.deepEqual(lastFailure(world), ["defect", "23505", "coupon.coupons", "coupons_pkey"]);

  await owner`select setval(pg_get_serial_sequence('coupon.coupons', 'id'), 9223372036854775807)`;
  assertProblem(await world.call("POST /coupons", { token: adminToken, body: newCoupon() }), 500, OURS);
  assert.equal(world.failures().at(-1)?.sqlstate, "2200H");
});

for (const [what, plant, sqlstate] of [
  ["a check", "alter table coupon.user_coupons add constraint not_2 check (user_id <> 2)", "23514"],
  [
    "a trigger that raises",
    `create function coupon.not_2() returns trigger language plpgsql as $$ begin raise 'not 2'; end $$;
    create trigger not_2 before insert on coupon.user_coupons for each row when (new.user_id = 2) execute function coupon.not_2()`,
    "P0001",
  ],
  [
    "a trigger that divides by zero",
    `create function coupon.not_2() returns trigger language plpgsql as $$ begin return 1 / 0; end $$;
    create trigger not_2 before insert on coupon.user_coupons for each row when (new.user_id = 2) execute function coupon.not_2()`,
    "22012",
  ],
] as const)
  test(`${what} against one user: an internal error for that one, and grants for the others of the batch`, async (t) => {
    const world = await open(t);
    await world.scratch.owner.unsafe(plant);
    const answers = await Promise.all([1, 2, 3, 4].map((user) => world.issue(world.id, user)));
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body.outcome]),
      [
        [201, "issued"],
        [500, "internal_error"],
        [201, "issued"],
        [201, "issued"],
      ],
    );
    assert.deepEqual(
      answers.map(({ body }) => body.position),
      [1, undefined, 2, 3],
    );
    assert.equal(world.failures().at(-1)?.sqlstate, sqlstate);
    assert.ok(world.db.pools.issue.errors.defect > 0);
  });

test("a foreign trigger that fails of some value: our mistake at each door, never the caller's", async (t) => {
  const world = await open(t);
  const { owner } = world.scratch;
  const isTheirs = `
    create or replace function coupon.theirs() returns trigger language plpgsql as $$ begin BODY; return new; end $$`;
  await owner.unsafe(isTheirs.replace("BODY", "null"));
  for (const table of ["audit", "user_coupons"])
    await owner.unsafe(
      `create trigger theirs before insert on coupon.${table} for each row execute function coupon.theirs()`,
    );
  assert.equal((await world.issue(world.id, 1)).status, 201);
  const byAdmin = (body: object) => ({ token: adminToken, body });
  for (const [sqlstate, fails] of [
    ["22P02", "perform 'x'::integer"],
    ["22003", "perform 2147483647 + 1"],
    ["22008", "perform date '5874897-12-31' + 1"],
    ["22001", "raise 'too long' using errcode = '22001'"],
    ["22023", "perform now() at time zone 'Mars'"],
    ["22023", "raise 'no' using errcode = '22023', column = 'coupon_id'"],
  ] as const) {
    await owner.unsafe(isTheirs.replace("BODY", fails));
    for (const answer of [
      await world.issue(world.id, 2),
      await use(world, 1),
      await world.call(`POST /coupons/${world.id}/pause`, byAdmin({})),
      await world.call("POST /coupons", byAdmin(newCoupon())),
      await world.call("POST /users", byAdmin({ users: [{ user_id: 77, display_name: "n" }] })),
    ]) {
      assertProblem(answer, 500, OURS);
      assert.equal(world.failures().at(-1)?.sqlstate, sqlstate, fails);
    }
  }
});

test("an argument that a function of ours refuses by its name is the caller's, in whatever language PostgreSQL speaks", () => {
  const refused = (told: object) => {
    const { kind, subject } = explain(Object.assign(failed("22023", "ERROR", "count must be more"), told));
    return [kind, subject];
  };
  const column_name = "count";
  const where = (name: string) => `fonction PL/pgSQL ${name}, ligne 3 à RAISE\ninstruction SQL « SELECT … »`;
  const ours = where("coupon.refuse_argument(text,text)");
  assert.deepEqual(refused({ column_name, where: ours }), ["argument", "count"]);
  const quoted = where('"coupon"."refuse_argument"("text","text")');
  assert.deepEqual(refused({ column_name, where: quoted }), ["argument", "count"]);
  assert.deepEqual(refused({ column_name, where: where("coupon.theirs()") }), ["defect", undefined]);
  assert.deepEqual(refused({ where: ours }), ["defect", undefined]);
  assert.deepEqual(refused({ column_name }), ["defect", undefined]);
  assert.deepEqual(refused({ column_name, where: `${where("coupon.theirs()")}\n${ours}` }), [
    "defect",
    undefined,
  ]);
});

test("a function refuses an argument that the server let through: told by its name", async (t) => {
  const world = await open(t);
  await assert.rejects(world.db.setCouponCount(world.id, -1, { actor: "test" }), (error: DatabaseError) => {
    assert.deepEqual([error.kind, error.sqlstate, error.subject], ["argument", "22023", "count"]);
    return true;
  });
});

test("a constraint against an import: in one answer, and as the last line of a stream", async (t) => {
  const world = await open(t);
  await world.scratch.owner`alter table coupon.users add constraint not_77 check (id <> 77)`;
  const users = [70, 77].map((user_id) => ({ user_id, display_name: "n" }));
  const call = { token: adminToken, body: { users } };
  assertProblem(await world.call("POST /users", call), 500, OURS);
  assert.deepEqual(lastFailure(world), ["defect", "23514", "coupon.users", "not_77"]);
  const answer = await world.call("POST /users/import", {
    token: adminToken,
    headers: { "content-type": "application/x-ndjson" },
    body: users.map((user) => `${JSON.stringify(user)}\n`).join(""),
  });
  assert.deepEqual(answer.body, [{ ...OURS, next_line: 1 }]);
});

test("a race with a change by hand is tried once more, and then answered", async (t) => {
  const world = await open(t);
  await withConnection(world.scratch.target, async (session) => {
    await session`set role coupon_owner`;
    await session`begin`;
    await session`
      insert into coupon.audit (id, command, actor) overriding system value
      select max(id) + 1, 'import_users', 'by hand' from coupon.audit`;
    const paused = world.call(`POST /coupons/${world.id}/pause`, { token: adminToken, body: {} });
    await waiting(connectWatch(t, world));
    await session`commit`;
    assert.deepEqual([(await paused).status, (await paused).body.outcome], [200, "paused"]);
  });
  assert.deepEqual(world.failures(), []);
});

const connectWatch = (t: TestContext, { scratch }: World) => {
  const watch = connect(scratch.target);
  t.after(() => watch.end());
  return watch;
};

for (const [what, plant, sqlstate] of [
  ["missing", "drop function public.live_coupons(timestamptz, integer)", "42883"],
  [
    "not ours to call",
    "revoke execute on function public.live_coupons(timestamptz, integer) from coupon_api",
    "42501",
  ],
] as const)
  test(`a function that is ${what}: lists, reads and streams; the log says it once`, async (t) => {
    const clock = createClock();
    const world = await open(t, { clock, env: { LOG_LEVEL: "error" } });
    await world.scratch.owner.unsafe(plant);
    for (let i = 0; i < 20; i++)
      assertProblem(await world.call("GET /coupons/live", { token: adminToken }), 500, OURS);
    const headers = { authorization: `Bearer ${adminToken}` };
    const stream = await world.ask("/coupons/events", { headers });
    assert.equal(stream.status, 200);
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await clock.pass(20_000);
    await reader.cancel();
    assert.deepEqual(
      world.failures().map((line) => [line.message === "failed again", line.sqlstate]),
      [[false, sqlstate]],
    );
    await clock.pass(60_000);
    const again = world.failures().filter(({ message }) => message === "failed again");
    assert.equal(again.length, 1);
    assert.ok(again[0].count >= 19, `${again[0].count}`);
  });

/** Answers every start of a session with this error, as PostgreSQL does. */
async function turnAway(t: TestContext, sqlstate: string): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(
      socket.on("error", () => {}).once("data", () => socket.end(errorResponse("FATAL", sqlstate))),
    );
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `postgres://u:p@127.0.0.1:${(server.address() as { port: number }).port}/db?sslmode=disable`;
}

function errorResponse(severity: string, sqlstate: string): Buffer {
  const fields = Buffer.from(`S${severity}\0V${severity}\0C${sqlstate}\0Mturned away\0\0`);
  const head = Buffer.alloc(5, "E");
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

for (const [sqlstate, reason] of [
  ["08P01", "A pooler refuses the connection: the log says why."],
  ["28000", "The database does not let this login in."],
  ["28P01", "The database refuses the login's password."],
  ["3D000", "There is no such database."],
  ["42501", "The login may not connect to this database."],
  ["53300", "The database has no connection left for this login."],
  ["53400", undefined],
  ["55000", "The database takes no connections."],
  ["57P03", "The database is starting or stopping."],
  ["XX000", undefined],
] as const)
  test(`no session, ${sqlstate}: nothing was done, the log says it once, not ready with its reason`, async (t) => {
    const app = await openApp(await turnAway(t, sqlstate), { env: { LOG_LEVEL: "error" } });
    t.after(() => app.close());
    const answers = await Promise.all([1, 2, 3, 4].map((user) => app.issue(1, user)));
    for (const { status, body } of answers)
      assert.deepEqual([status, body.outcome], [503, "database_unavailable"]);
    const ready = await app.call("GET /readyz");
    const generic = "The database cannot be reached; nothing was done. Send the request again.";
    assertProblem(ready, 503, { outcome: "database_unavailable", detail: reason ?? generic });
    assert.deepEqual(
      app.failures().map((line) => [line.kind, line.sqlstate]),
      [["unavailable", sqlstate]],
    );
  });

/** As the driver gives it. */
const failed = (code: string | undefined, severity?: string, message = "m") =>
  Object.assign(new Error(message), { ...(code === undefined ? {} : { code }), severity });

for (const [code, severity, sent, unsent] of [
  // Rolled back, and the session goes on.
  ["23505", "ERROR", "conflict", "unavailable"],
  ["23514", "ERROR", "conflict", "unavailable"],
  ["40001", "ERROR", "conflict", "unavailable"],
  ["40P01", "ERROR", "conflict", "unavailable"],
  ["22001", "ERROR", "defect", "unavailable"],
  ["22P02", "ERROR", "defect", "unavailable"],
  ["22012", "ERROR", "defect", "unavailable"],
  ["22023", "ERROR", "defect", "unavailable"],
  ["2200H", "ERROR", "defect", "unavailable"],
  ["25006", "ERROR", "unavailable", "unavailable"],
  ["26000", "ERROR", "unavailable", "unavailable"],
  ["42P05", "ERROR", "unavailable", "unavailable"],
  ["53100", "ERROR", "busy", "unavailable"],
  ["53200", "ERROR", "busy", "unavailable"],
  ["53400", "ERROR", "busy", "unavailable"],
  ["55P03", "ERROR", "busy", "unavailable"],
  ["57014", "ERROR", "busy", "unavailable"],
  ["42883", "ERROR", "defect", "unavailable"],
  ["42501", "ERROR", "defect", "unavailable"],
  ["42P01", "ERROR", "defect", "unavailable"],
  ["P0001", "ERROR", "defect", "unavailable"],
  ["58030", "ERROR", "defect", "unavailable"],
  ["XX000", "ERROR", "defect", "unavailable"],
  ["XX001", "ERROR", "defect", "unavailable"],
  // The session ended: perhaps after the commit.
  ["57P01", "FATAL", "unknown", "unavailable"],
  ["57P02", "FATAL", "unknown", "unavailable"],
  ["57P05", "FATAL", "unknown", "unavailable"],
  ["25P03", "FATAL", "unknown", "unavailable"],
  ["XX000", "PANIC", "unknown", "unavailable"],
  ["08P01", "FATAL", "unknown", "unavailable"],
  ["40003", "ERROR", "unknown", "unavailable"],
  // No session began.
  ["28P01", "FATAL", "unavailable", "unavailable"],
  ["53300", "FATAL", "unavailable", "unavailable"],
  ["57P03", "FATAL", "unavailable", "unavailable"],
  // The driver's.
  ["CONNECTION_CLOSED", undefined, "unknown", "unavailable"],
  ["CONNECTION_DESTROYED", undefined, "unknown", "unavailable"],
  ["CONNECTION_ENDED", undefined, "unavailable", "unavailable"],
  ["CONNECT_TIMEOUT", undefined, "unavailable", "unavailable"],
  ["ECONNREFUSED", undefined, "unavailable", "unavailable"],
  ["ECONNRESET", undefined, "unknown", "unavailable"],
  ["EPIPE", undefined, "unknown", "unavailable"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", undefined, "unknown", "unavailable"],
  ["UNDEFINED_VALUE", undefined, "defect", "defect"],
  [undefined, undefined, "defect", "defect"],
] as const)
  test(`${code} ${severity ?? "from the driver"}: ${sent}; before it was sent: ${unsent}`, () => {
    assert.equal(explain(failed(code, severity)).kind, sent);
    assert.equal(explain(failed(code, severity), false).kind, unsent);
  });

test("no answer in time to what was never sent", () => {
  const late = new DatabaseError("unknown", "", "no answer");
  assert.deepEqual([explain(late).kind, explain(late, false).kind], ["unknown", "unavailable"]);
});

test("what is refused twice by a constraint is a defect, what is by a transaction is not", () => {
  const twice = (code: string) => lasting(explain(failed(code, "ERROR"))).kind;
  assert.deepEqual(["23505", "23514", "40001", "40P01"].map(twice), [
    "defect",
    "defect",
    "conflict",
    "conflict",
  ]);
});

test("errors that one value of a batch may have caused", () => {
  const codes = ["22001", "22012", "23514", "40P01", "P0001", "42883", "42501", "53100", "55P03", "XX000"];
  assert.deepEqual(
    codes.filter((code) => mayBeOfOneValue(explain(failed(code, "ERROR")))),
    ["22001", "22012", "23514", "40P01", "P0001"],
  );
  assert.equal(mayBeOfOneValue(explain(failed("CONNECTION_CLOSED"))), false);
});
