/** An operation that is deprecated. None is today, so that one is marked here, before the document and the routes are made. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { World } from "../../bench/harness/app.ts";
import { contract, type Operation } from "../api/contract.ts";

const mark: Operation = contract.dailySummary;
mark.deprecated = { since: "2026-01-01T00:00:00Z", sunset: "2027-01-01T00:00:00Z" };
const halfMark: Operation = contract.pauseCoupon;
halfMark.deprecated = { since: "2026-07-01T12:00:00Z" };
const { adminToken, openWorld, userToken } = await import("../../bench/harness/app.ts");
const { document } = await import("../../bench/harness/documented.ts");

let world: World;
before(async () => {
  world = await openWorld();
});
after(() => world.close());

test("each of its answers says so, as documented, and the others do not", async () => {
  const admin = { token: await adminToken };
  const told = async (route: string, given: object = admin) => {
    const { status, headers } = await world.call(route, given);
    return [status, headers.get("deprecation"), headers.get("sunset")];
  };
  const both = ["@1767225600", "Fri, 01 Jan 2027 00:00:00 GMT"];
  assert.deepEqual(await told("GET /daily-summary"), [200, ...both]);
  assert.deepEqual(await told("GET /daily-summary?last_day=x"), [400, ...both]);
  assert.deepEqual(await told("GET /daily-summary", {}), [401, ...both]);
  assert.deepEqual(await told("GET /daily-summary", { token: await userToken(1) }), [403, ...both]);
  assert.deepEqual(await told("POST /coupons/999/pause", { ...admin, body: {} }), [404, "@1782907200", null]);
  assert.deepEqual(await told("POST /coupons/999/resume", { ...admin, body: {} }), [404, null, null]);
  assert.deepEqual(await told("GET /audit"), [200, null, null]);
});

test("the document says so", () => {
  const marked = Object.values(document.paths)
    .flatMap((methods) => Object.values(methods))
    .filter((operation) => "deprecated" in operation);
  assert.deepEqual(
    marked.map(({ operationId }) => operationId),
    ["dailySummary", "pauseCoupon"],
  );
});

test("nothing that is answered otherwise is marked", () => {
  for (const [name, { deprecated, isOffer, stream }] of Object.entries<Operation>(contract))
    if (deprecated) assert.ok(!isOffer && stream !== "text/event-stream" && name !== "issueCoupon", name);
});
