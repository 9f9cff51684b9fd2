/** Grants in lines, and streams of events. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { adminToken, assertProblem, openApp } from "../../bench/harness/app.ts";
import { routesWorld } from "../../bench/harness/routes.ts";
import { DatabaseError } from "../database/errors.ts";
import type { Db } from "../database/functions.ts";

const { world, wrongTargetTests } = routesWorld();
const CSV = "text/csv; charset=utf-8; header=present";

/** The world's service, but with this list of users. */
const openWith = (listUsers: Db["listUsers"]) =>
  openApp(world().scratch.apiUrl, { db: { ...world().db, listUsers } });

test("a stream that our mistake ends says so, and it is in the log", async () => {
  const mistake = new DatabaseError("defect", "42703", "no such column");
  const { call, failures } = await openWith(() => Promise.reject(mistake));
  const { body } = await call("GET /users", { token: adminToken, headers: { "x-request-id": "a-stream" } });
  assert.deepEqual(
    body.map(({ outcome, detail, next_after }: Record<string, unknown>) => [outcome, detail, next_after]),
    [["internal_error", "This is our mistake, and was logged.", 0]],
  );
  assert.deepEqual(
    failures().map(({ request_id, message }) => [request_id, message]),
    [["a-stream", "no such column"]],
  );
});

test("grants in lines, by position", async () => {
  const coupon_id = await world().newCoupon({ count: 3 });
  const users = [await world().newUser(), await world().newUser()];
  for (const user of users) assert.equal((await world().issue(coupon_id, user)).status, 201);
  const list = (query = "") =>
    world().call(`GET /coupons/${coupon_id}/grants${query}`, { token: adminToken });
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
  assert.equal((await world().call("GET /coupons/999999/grants", { token: adminToken })).status, 404);
});

test("users and grants as CSV; 406 for anything else", async () => {
  const { newUser, scratch, call } = world();
  const [user, coupon_id] = [await newUser(), await world().newCoupon()];
  await scratch.admin`select from import_users(array[${user}]::bigint[], array['=1+1, "Ann"'])`;
  const { issued_at, issued_on } = (await world().issue(coupon_id, user)).body;
  const csv = (path: string, accept = "text/csv") =>
    call(`GET ${path}`, { token: adminToken, headers: { accept } });
  const grants = await csv(`/coupons/${coupon_id}/grants`);
  assert.equal(grants.headers.get("content-type"), CSV);
  const header = "position,user_id,issued_on,issued_at,used_date,use_reference\r\n";
  assert.equal(grants.body, `${header}1,${user},${issued_on},${issued_at},,\r\n`);
  assert.equal((await csv(`/coupons/${coupon_id}/grants?after=1`)).body, header);
  const users = await csv(`/users?after=${user - 1}`, "text/*, */*;q=0.5");
  assert.equal(users.body, `user_id,display_name\r\n${user},"'=1+1, ""Ann"""\r\n`);
  for (const accept of [
    "*/*",
    "",
    "application/x-ndjson, text/csv",
    "text/csv;q=0, */*",
    "text/csv;header=absent, */*;q=0.1",
  ])
    assert.equal((await csv("/users", accept)).headers.get("content-type"), "application/x-ndjson", accept);
  for (const accept of [
    "TEXT/CSV",
    'text/csv; charset="UTF-8"; header=present',
    "*/*, text/csv",
    "application/x-ndjson;q=0, */*;q=0.1",
  ])
    assert.equal((await csv("/users", accept)).headers.get("content-type"), CSV, accept);
  for (const accept of ["text/csv;header=absent", "*/*;q=0", "text/html", "nonsense"])
    assert.equal((await csv("/users", accept)).status, 406, accept);
  assertProblem(await csv("/users", "application/json"), 406, {
    outcome: "not_acceptable",
    detail: "There are lines (application/x-ndjson) and CSV (text/csv).",
  });
  assert.equal((await csv("/coupons/999999/grants")).status, 404);
  assert.equal((await csv("/users?after=x")).status, 400);
});

test("CSV that fails before the first row is a problem", async () => {
  const gone = new DatabaseError("unavailable", "", "no database");
  const { call } = await openWith(() => Promise.reject(gone));
  const { status, body } = await call("GET /users", { token: adminToken, headers: { accept: "text/csv" } });
  assert.deepEqual([status, body.outcome], [503, "database_unavailable"]);
});

test("CSV that fails after its first rows ends without a last chunk; HTTP/1.0, which has none, gets no CSV", async (t) => {
  const failing = new DatabaseError("unavailable", "", "no database");
  const listUsers = async (after: number) => {
    if (after >= 20) throw failing;
    return [{ user_id: after + 1, display_name: "Ann" }];
  };
  const { server, failures } = await openWith(listUsers);
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const ask = async (version: string) => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    let said = "";
    socket.on("data", (part) => {
      said += part;
    });
    socket.on("error", () => {});
    socket.write(
      `GET /users HTTP/${version}\r\nhost: localhost\r\nauthorization: Bearer ${adminToken}\r\naccept: text/csv\r\n\r\n`,
    );
    await closed;
    return said;
  };
  const cut = await ask("1.1");
  assert.match(cut, /^HTTP\/1\.1 200 OK\r\n[\s\S]*transfer-encoding: chunked\r\n/i);
  assert.ok(!cut.includes("\r\n0\r\n\r\n"), cut);
  assert.match(await ask("1.0"), /^HTTP\/1\.1 406 [\s\S]*CSV takes HTTP\/1\.1\./);
  assert.deepEqual(
    failures().map(({ message }) => message),
    ["no database"],
  );
});

for (const path of ["/coupons/events", "/coupons/status/events"])
  test(`HEAD ${path} watches nothing`, async () => {
    const before = world().app.streams();
    const { status } = await world().app.fetch(
      new Request(`http://localhost${path}`, {
        method: "HEAD",
        headers: { authorization: `Bearer ${adminToken}` },
      }),
    );
    assert.deepEqual([status, world().app.streams()], [200, before]);
  });

for (const [name, run] of wrongTargetTests([
  ["/coupons/1/grants?after=100000001", "after", "must be at most 100000000"],
]))
  test(name, run);
