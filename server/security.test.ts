/** What holds for every route; and SECURITY.md names tests that exist. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { assertProblem, env, openApp, userToken } from "../bench/harness/app.ts";
import { contract, type Operation } from "./api/contract.ts";
import { hmacKey } from "./auth/hs256.ts";
import { pages } from "./routes/pages.ts";

/** Without a database: whatever is refused here was refused before any was asked. */
const app = await openApp("postgres://nobody@127.0.0.1:1/nothing");
after(() => app.close());

// ---- Tokens, on every route -----------------------------------------------------------------------------------------

const now = Math.floor(Date.now() / 1000);
const good = { sub: "42", role: "admin", iss: "coupon-drop", aud: "coupon-drop", exp: now + 60 };
const key = hmacKey(env.JWT_SECRET as string);
const bad: Record<string, string> = {
  expired: key.sign({ ...good, exp: now - 1 }),
  "for another audience": key.sign({ ...good, aud: "somebody" }),
  "of another issuer": key.sign({ ...good, iss: "somebody" }),
  "with another secret": hmacKey(`${env.JWT_SECRET}!`).sign(good),
  "without a role": key.sign({ ...good, role: undefined }),
};

for (const { route, roles, body } of Object.values<Operation>(contract))
  if (roles !== null)
    test(`401 of a token that is no longer good, or not ours: ${route}`, async () => {
      const target = route.replace(/\{\w+\}/g, "1");
      for (const [what, token] of Object.entries(bad)) {
        const answer = await app.call(target, body ? { token, body: {} } : { token });
        assertProblem(answer, 401, { outcome: "unauthenticated", detail: "The bearer token is not valid." });
        const challenge = 'Bearer realm="coupons", error="invalid_token"';
        assert.equal(answer.headers.get("www-authenticate"), challenge, what);
      }
    });

test("what isn't a user's own is 403 before any database is asked, whether it exists or not", async () => {
  const token = userToken(42);
  for (const [target, body] of [
    ["GET /users/43/coupons"],
    ["POST /coupons/1/issue", { user_id: 43 }],
    ["POST /coupons/1/use", { user_id: 43, reference: "r" }],
    ["POST /coupons/1/undo-use", { user_id: 42, reason: "r" }],
    ["GET /coupons/1/stats"],
    ["GET /coupons/1/grants"],
    ["GET /coupons?code=A"],
    ["GET /users"],
  ] as const) {
    const { status, body: said } = await app.call(target, { token, ...(body ? { body } : {}) });
    const members = ["title", "status", "outcome", "detail", "request_id"];
    assert.deepEqual([status, said.outcome, Object.keys(said)], [403, "forbidden", members], target);
  }
  // What is allowed is another answer here, where there is no database.
  assert.equal((await app.call("GET /users/42/coupons", { token })).status, 503);
});

test("pages bring nothing of elsewhere, and are in no frame", async () => {
  for (const path of Object.keys(pages)) {
    const { headers } = await app.app.fetch(new Request(`http://localhost${path}`));
    assert.match(
      headers.get("content-security-policy") ?? "",
      /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/,
    );
    assert.deepEqual(
      ["x-content-type-options", "referrer-policy"].map((name) => headers.get(name)),
      ["nosniff", "no-referrer"],
    );
  }
});

// ---- SECURITY.md ----------------------------------------------------------------------------------------------------

test("every test that SECURITY.md names is there", async () => {
  const text = await readFile(new URL("SECURITY.md", import.meta.url), "utf8");
  const named = [...text.matchAll(/`([\w./-]+\.test\.ts)`: ([^\n]+)/g)];
  assert.ok(named.length > 30, `${named.length} tests are named`);
  for (const [, file, name = ""] of named) {
    const source = await readFile(new URL(`../${file}`, import.meta.url), "utf8");
    assert.ok(source.includes(name.trim()), `${file}: ${name}`);
  }
});

test("SECURITY.md has the ten points of OWASP, each with a test", async () => {
  const text = await readFile(new URL("SECURITY.md", import.meta.url), "utf8");
  const points = text.split(/^## /m).filter((point) => point.startsWith("API"));
  assert.deepEqual(
    points.map((point) => [point.match(/^(API\d+) /)?.[1], point.includes(".test.ts`: ")]),
    Array.from({ length: 10 }, (_, i) => [`API${i + 1}`, true]),
  );
});
