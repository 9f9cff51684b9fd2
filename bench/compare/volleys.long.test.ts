/** A volley whose numbers don't agree with the database is found out: a comparison of wrong answers would be worth nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startService } from "../harness/service.ts";
import { createFreshTokens, issueShot } from "../harness/tokens.ts";
import type { Answers, Generator } from "../load/generator.ts";
import { answerOf } from "../peers/start.ts";
import { createVerdict } from "../report/result.ts";
import type { Side } from "./side.ts";
import { kinds, measure } from "./volleys.ts";

test("grants and refusals: right ones pass, and each wrong number is told", async (t) => {
  const service = await startService(3);
  t.after(service.stop);
  const side: Side = {
    name: "side",
    url: service.url,
    setupUrl: service.database.setupUrl,
    owner: service.database.owner,
    login: "coupon_api",
    beside: [],
    cpu: async () => ({ server: new Map(), postgresql: new Map() }),
  };
  const seen = new Set<string>();
  const crowd = { users: 2, fresh: createFreshTokens(service.secret, [1, 2]), winner: service.token(3) };
  /** Asks for users 1 and 2, and tells what it likes. */
  const failuresOf = async (name: "refuse" | "grant", told: Partial<Answers>, open = 0) => {
    const generator: Generator = {
      name: "fake",
      openAtEnd: () => open,
      tokens: () => 2,
      async volley({ url, couponId, tokens }) {
        for (const token of tokens) {
          assert.ok(!seen.has(token));
          seen.add(token);
          await answerOf(url, issueShot(token, couponId));
        }
        return {
          answers: 2,
          refused: name === "refuse" ? 2 : 0,
          failed: 0,
          perSecond: 1,
          p50: 1,
          p99: 1,
          ranOut: false,
          ...told,
        };
      },
    };
    const verdict = createVerdict();
    const kind = kinds.find((candidate) => candidate.name === name);
    assert.ok(kind);
    const volley = { kind, connections: 1, seconds: 1, lastRate: undefined };
    await measure(side, volley, generator, crowd, verdict);
    return verdict.failures.map((failure) => failure.replace(/^.* connections: /, ""));
  };
  assert.deepEqual(await failuresOf("grant", {}), []);
  assert.deepEqual(await failuresOf("grant", { answers: 1 }, 1), []);
  assert.deepEqual(await failuresOf("grant", { answers: 1 }), ["2 rows, not 1 to 1"]);
  assert.deepEqual(await failuresOf("grant", { answers: 3 }), ["2 rows, not 3 to 3"]);
  assert.deepEqual(await failuresOf("grant", { refused: 1, failed: 4 }), [
    "failed requests: 4, not 0",
    "refusals: 1, not 0",
  ]);
  assert.deepEqual(await failuresOf("grant", { ranOut: true }), ["2 answers to 2 tokens, some came twice"]);
  assert.deepEqual(await failuresOf("refuse", {}), []);
  assert.deepEqual(await failuresOf("refuse", { refused: 1 }), ["refusals: 1, not 2"]);
});
