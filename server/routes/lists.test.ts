/** Grants in lines, and streams of events. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adminToken } from "../../bench/harness/app.ts";
import { routesWorld } from "../../bench/harness/routes.ts";
import { DatabaseError } from "../database/errors.ts";
import { createApp } from "./app.ts";

const { world, wrongTargetTests } = routesWorld();

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
