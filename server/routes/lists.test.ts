/** Grants in lines, and streams of events. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { getRequestListener } from "@hono/node-server";
import { adminToken, assertProblem } from "../../bench/harness/app.ts";
import { routesWorld } from "../../bench/harness/routes.ts";
import { DatabaseError } from "../database/errors.ts";
import { createApp } from "./app.ts";

const { world, wrongTargetTests } = routesWorld();
const CSV = "text/csv; charset=utf-8; header=present";

test("a stream that our mistake ends says so, and it is in the log", async () => {
  const { db, dependencies } = world();
  const mistake = new DatabaseError("defect", "42703", "no such column");
  const app = createApp({ ...dependencies, db: { ...db, listUsers: () => Promise.reject(mistake) } });
  const headers = { authorization: `Bearer ${adminToken}`, "x-request-id": "a-stream" };
  const answer = await app.fetch(new Request("http://localhost/users", { headers }));
  const { outcome, detail, next_after } = JSON.parse(await answer.text());
  assert.deepEqual(
    [outcome, detail, next_after],
    ["internal_error", "This is our mistake, and was logged.", 0],
  );
  const failure = world().logged.findIndex(
    ({ level, request_id }) => level === "error" && request_id === "a-stream",
  );
  assert.equal(world().logged[failure]?.message, "no such column");
  world().logged.splice(failure, 1);
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
  const { db, dependencies } = world();
  const gone = new DatabaseError("unavailable", "", "no database");
  const app = createApp({ ...dependencies, db: { ...db, listUsers: () => Promise.reject(gone) } });
  const headers = { authorization: `Bearer ${await adminToken}`, accept: "text/csv" };
  const answer = await app.fetch(new Request("http://localhost/users", { headers }));
  assert.equal(answer.status, 503);
  assert.equal(JSON.parse(await answer.text()).outcome, "database_unavailable");
  const failure = world().logged.findIndex(({ level }) => level === "error");
  if (failure >= 0) world().logged.splice(failure, 1);
});

test("CSV that fails after its first rows ends without a last chunk; HTTP/1.0, which has none, gets no CSV", async () => {
  const { db, dependencies } = world();
  const failing = new DatabaseError("unavailable", "", "no database");
  const listUsers = async (after: number) => {
    if (after >= 20) throw failing;
    return [{ user_id: after + 1, display_name: "Ann" }];
  };
  const app = createApp({ ...dependencies, db: { ...db, listUsers } });
  const server = createServer(getRequestListener(app.fetch as never));
  server.listen(0, "127.0.0.1");
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
      `GET /users HTTP/${version}\r\nhost: localhost\r\nauthorization: Bearer ${await adminToken}\r\naccept: text/csv\r\n\r\n`,
    );
    await closed;
    return said;
  };
  const cut = await ask("1.1");
  assert.match(cut, /^HTTP\/1\.1 200 OK\r\n[\s\S]*transfer-encoding: chunked\r\n/i);
  assert.ok(!cut.includes("\r\n0\r\n\r\n"), cut);
  assert.match(await ask("1.0"), /^HTTP\/1\.1 406 [\s\S]*CSV takes HTTP\/1\.1\./);
  server.close();
  const failure = world().logged.findIndex(({ level }) => level === "error");
  assert.equal(world().logged[failure]?.message, "no database");
  world().logged.splice(failure, 1);
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
