/** A till uses a coupon by its claim code, and undoes its own use. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adminToken, assertProblem, env, openApp, serviceToken, tillToken } from "../../bench/harness/app.ts";
import { INSTANT, routesWorld } from "../../bench/harness/routes.ts";
import { hmacKey } from "../auth/hs256.ts";
import { systemClock } from "../clock.ts";

const { world, asUser, holder, outcomeTests, wrongBodyTests } = routesWorld();

/** A user, the coupon it holds, and what a till is told of it. */
async function claimed() {
  const { user_id, coupon_id } = await holder();
  const { body } = await asUser(user_id, `GET /users/${user_id}/coupons`);
  const { claim_code, code, message, position } = body.coupons[0];
  assert.match(claim_code, /^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  const display_name = await nameOf(user_id);
  return { claim_code, told: { coupon_id, code, message, position, user_id, display_name } };
}

async function nameOf(user_id: number): Promise<string> {
  const [row] = await world().scratch.owner`select display_name from coupon.users where id = ${user_id}`;
  return row?.["display_name"];
}

const use = (claim_code: string, reference = "r", token = tillToken) =>
  world().call("POST /claims/use", { token, body: { claim_code, reference } });
const undo = (claim_code: string, token = tillToken) =>
  world().call("POST /claims/undo-use", { token, body: { claim_code, reason: "mistake" } });

async function expire(coupon_id: number): Promise<void> {
  await world().scratch.owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user`;
    await sql`update coupon.user_coupons set issued_at = issued_at - interval '1 hour' where coupon_id = ${coupon_id}`;
    await sql`update coupon.coupons set expiry = clock_timestamp() - interval '1 minute' where id = ${coupon_id}`;
    await sql`alter table coupon.user_coupons enable trigger user`;
  });
}

for (const [name, run] of outcomeTests("use_claim", {
  claim_not_found: async () => [await use("0000-0000-0001"), {}],
  used: async () => {
    const { claim_code, told } = await claimed();
    const first = await use(claim_code, "order 7");
    const { used_date } = first.body;
    assert.match(used_date, INSTANT);
    assert.deepEqual((await use(claim_code.toLowerCase().replaceAll("-", " "), "order 7")).body, first.body);
    return [first, { ...told, used_date, use_reference: "order 7" }];
  },
  already_used: async () => {
    const { claim_code, told } = await claimed();
    const { used_date } = (await use(claim_code, "first")).body;
    return [await use(claim_code, "second"), { ...told, used_date, use_reference: "first" }];
  },
  expired: async () => {
    const { claim_code, told } = await claimed();
    await expire(told.coupon_id);
    return [await use(claim_code), told];
  },
}))
  test(name, run);

for (const [name, run] of outcomeTests("undo_claim", {
  claim_not_found: async () => [await undo("0000-0000-0001"), {}],
  not_used: async () => {
    const { claim_code, told } = await claimed();
    return [await undo(claim_code), told];
  },
  used_by_another: async () => {
    const { claim_code, told } = await claimed();
    await use(claim_code, "r", serviceToken);
    return [await undo(claim_code), told];
  },
  restored: async () => {
    const { claim_code, told } = await claimed();
    const { used_date } = (await use(claim_code, "order 8")).body;
    return [await undo(claim_code), { ...told, used_date, use_reference: "order 8" }];
  },
}))
  test(name, run);

for (const [name, run] of wrongBodyTests([
  ["claim_code missing", "POST /claims/use", { reference: "r" }, ["claim_code", "is needed"]],
  [
    "claim_code too long",
    "POST /claims/use",
    { claim_code: "c".repeat(201), reference: "r" },
    ["claim_code", "must have at most 200 characters"],
  ],
  ["a till's reference missing", "POST /claims/use", { claim_code: "c" }, ["reference", "is needed"]],
  [
    "a user in a till's request",
    "POST /claims/use",
    { claim_code: "c", reference: "r", user_id: 1 },
    ["user_id", "is not a member of this request"],
  ],
  ["a till's reason missing", "POST /claims/undo-use", { claim_code: "c" }, ["reason", "is needed"]],
  [
    "a use's time that is none",
    "POST /claims/undo-use",
    { claim_code: "c", reason: "r", used_date: "noon" },
    ["used_date", "must be a time like 2026-11-22T10:00:00Z"],
  ],
]))
  test(name, run);

test("a service undoes its own use and no other's, an admin any; the audit says who", async () => {
  const { claim_code, told } = await claimed();
  const { coupon_id, user_id } = told;
  const undoUse = (token: string) =>
    world().call(`POST /coupons/${coupon_id}/undo-use`, { token, body: { user_id, reason: "mistake" } });
  await use(claim_code);
  assertProblem(await undoUse(serviceToken), 409, {
    outcome: "used_by_another",
    detail: "Somebody else used the coupon: only an admin can undo that.",
    coupon_id,
    user_id,
  });
  assert.equal((await undoUse(adminToken)).body.outcome, "restored");
  await use(claim_code, "r", serviceToken);
  assert.equal((await undoUse(serviceToken)).body.outcome, "restored");
  const { entries } = (
    await world().call(`GET /audit?coupon_id=${coupon_id}&user_id=${user_id}`, { token: adminToken })
  ).body;
  assert.deepEqual(
    entries.map(({ command, actor }: { command: string; actor: string }) => [command, actor]),
    [
      ["undo_use", "service:shop"],
      ["use_coupon", "service:shop"],
      ["undo_use", "admin:root"],
      ["use_coupon", "till:north-3"],
    ],
  );
});

test("an undo that is sent again with the used_date of its use takes back no later use", async () => {
  const { claim_code, told } = await claimed();
  const { coupon_id, user_id } = told;
  const { used_date } = (await use(claim_code)).body;
  const asked = { used_date, reason: "mistake" };
  const undoThat = (path: string, token: string, body: object) =>
    world().call(`POST ${path}`, { token, body: { ...body, ...asked } });
  const byCode = () => undoThat("/claims/undo-use", tillToken, { claim_code });
  assert.equal((await byCode()).body.used_date, used_date);
  const later = (await use(claim_code)).body.used_date;
  assert.notEqual(later, used_date);
  const detail = "The coupon is not used, or that use was undone.";
  assertProblem(await byCode(), 409, { outcome: "not_used", detail, ...told });
  assertProblem(await undoThat(`/coupons/${coupon_id}/undo-use`, adminToken, { user_id }), 409, {
    outcome: "not_used",
    detail,
    coupon_id,
    user_id,
  });
  assert.equal((await use(claim_code)).body.used_date, later);
});

test("a till is a service's or an admin's token with the scope use, however it is written", async () => {
  const { claim_code } = await claimed();
  const now = Math.floor(Date.now() / 1000);
  const sign = (claims: object) =>
    hmacKey(env.JWT_SECRET as string).sign({
      ...{ sub: "x", role: "service", iss: env.JWT_ISSUER, aud: env.JWT_AUDIENCE, exp: now + 60 },
      ...claims,
    });
  for (const claims of [
    { scope: "use" },
    { scope: "openid use profile" },
    { scope: ["profile", "use"] },
    { role: "admin", scope: "use" },
  ]) {
    const token = sign(claims);
    assert.equal((await world().call("GET /coupons/live", { token })).status, 403, JSON.stringify(claims));
    assert.equal((await world().call("GET /coupons?code=X", { token })).status, 403, JSON.stringify(claims));
    assert.notEqual((await use(claim_code, "r", token)).status, 403, JSON.stringify(claims));
  }
  for (const scope of ["", "openid", "used", []])
    assert.equal((await world().call("GET /coupons/live", { token: sign({ scope }) })).status, 200);
  for (const scope of [null, 7, {}])
    assert.equal((await world().call("GET /coupons/live", { token: sign({ scope }) })).status, 401);
  // A user's token has what scope it likes.
  assert.equal(
    (await world().call("GET /coupons/live", { token: sign({ sub: "7", role: "user", scope: "use" }) }))
      .status,
    200,
  );
});

test("who guesses has to wait, and nobody else; a code that is one costs nothing", async (t) => {
  let now = 0;
  const app = await openApp(world().scratch.apiUrl, { clock: { ...systemClock, now: () => now } });
  t.after(() => app.close());
  const ask = (claim_code: string, token: string, route = "use") =>
    app.call(`POST /claims/${route}`, {
      token,
      body: { claim_code, ...(route === "use" ? { reference: "r" } : { reason: "r" }) },
    });
  const { claim_code } = await claimed();
  for (let guess = 0; guess < 5; guess++) {
    assert.equal((await ask(claim_code, tillToken)).status, 200);
    assert.equal((await ask("0000-0000-0001", tillToken)).status, 404);
    assert.equal((await ask("0000-0000-0001", tillToken, "undo-use")).status, 404);
  }
  const limited = await ask(claim_code, tillToken);
  assertProblem(limited, 429, {
    outcome: "rate_limited",
    detail: "Too many codes from this caller were none; nothing was done. Send the request again later.",
  });
  assert.equal(limited.headers.get("retry-after"), "1");
  assert.equal((await ask(claim_code, tillToken, "undo-use")).status, 429);
  // It waits for nothing, and is told that the till has used it.
  const another = await ask(claim_code, serviceToken);
  assert.deepEqual([another.status, another.body.outcome], [409, "already_used"]);
  now += 1_000;
  assert.equal((await ask(claim_code, tillToken)).status, 200);
  assert.equal((await ask("0000-0000-0001", tillToken)).status, 404);
  assert.equal((await ask(claim_code, tillToken)).status, 429);
});

test("who guesses many codes at once waits for each of them", async (t) => {
  let now = 0;
  const app = await openApp(world().scratch.apiUrl, { clock: { ...systemClock, now: () => now } });
  t.after(() => app.close());
  const guess = () =>
    app.call("POST /claims/use", {
      token: tillToken,
      body: { claim_code: "0000-0000-0001", reference: "r" },
    });
  const told = await Promise.all(Array.from({ length: 40 }, guess));
  const asked = told.filter(({ status }) => status === 404).length;
  assert.ok(asked > 10, `${asked} were under way together`);
  const wait = asked - 10 + 1;
  assert.equal((await guess()).headers.get("retry-after"), `${wait}`);
  now += wait * 1_000 - 1;
  assert.equal((await guess()).status, 429);
  now += 1;
  assert.equal((await guess()).status, 404);
});

test("no code stands in the log", async () => {
  const { claim_code } = await claimed();
  await use(claim_code);
  await use("0000-0000-0001");
  assert.ok(!JSON.stringify(world().logged).includes(claim_code));
  assert.ok(!JSON.stringify(world().logged).includes("0000-0000-0001"));
});
