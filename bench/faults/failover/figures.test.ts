import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, newHistory } from "../history.ts";
import { figuresOf, longestGap, longestSearch, readiness } from "./figures.ts";
import type { Commit, Look, Seen } from "./watch.ts";

/** A commit every 50 ms up to this instant, and again from another one on, each of 10 ms. */
function commits(...times: [from: number, until: number][]): Commit[] {
  return times.flatMap(([from, until]) =>
    Array.from({ length: Math.floor((until - from) / 50) + 1 }, (_, i) => ({
      from: from + 50 * i - 10,
      until: from + 50 * i,
    })),
  );
}

/** Answers of one server, every 100 ms, each after 5 ms: by status, and for how many answers. */
function looks(...said: [status: number, times: number, outcome?: string][]): Look[] {
  const all = said.flatMap(([status, times, outcome = ""]) =>
    Array.from({ length: times }, () => ({ status, outcome })),
  );
  return all.map((answer, i) => ({ server: 0, from: 100 * i, until: 100 * i + 5, ...answer }));
}

const found = (seen: Seen) => readiness(seen, 0);
/** Nothing commits from 1000 to 4000 ms. */
const still = commits([50, 1_000], [4_000, 6_000]);

for (const [name, said, expected] of [
  ["right all the time", looks([200, 10], [503, 30], [200, 20]), { ready: 0, unready: 0 }],
  ["200 for 1.2 s of it", looks([200, 22], [503, 18], [200, 20]), { ready: 1.2, unready: 0 }],
  ["200 all the time: until commits go through", looks([200, 60]), { ready: 3, unready: 0 }],
  [
    "200 twice, of which the longer counts",
    looks([200, 13], [503, 7], [200, 5], [503, 15], [200, 20]),
    { ready: 0.5, unready: 0 },
  ],
  ["503 for 0.8 s after it", looks([200, 10], [503, 38], [200, 12]), { ready: 0, unready: 0.7 }],
  ["draining", looks([200, 10], [503, 30], [503, 8, "draining"], [200, 12]), { ready: 0, unready: 0 }],
  ["nobody there", looks([200, 10], [0, 50]), { ready: 0, unready: 0 }],
] as const)
  test(`/readyz: ${name}`, () => {
    const { ready, unready } = found({ commits: still, looks: said });
    assert.deepEqual(
      { ready: Math.round(ready * 10) / 10, unready: Math.round(unready * 10) / 10 },
      expected,
    );
  });

test("/readyz: each server by itself, and nothing before the first stroke", () => {
  const other = looks([200, 25], [503, 15], [200, 20]).map((look) => ({ ...look, server: 1 }));
  const seen = { commits: still, looks: [...looks([200, 10], [503, 30], [200, 20]), ...other] };
  assert.deepEqual(readiness(seen, 0), { ready: 1.51, unready: 0 });
  assert.deepEqual(readiness(seen, 2_000), { ready: 0.51, unready: 0 });
});

test("the gap: between two that were granted, of which the second comes after the first stroke", () => {
  const history = newHistory(1, new Map());
  const attempt = (answeredAt: number, answer: Answer, took = 1) =>
    history.attempts.push({
      ...{ request: history.attempts.length, answer, answeredAt, invokedAt: answeredAt - took },
      ask: { kind: "issue", coupon: 1, user: 1 },
    });
  const issued: Answer = { is: "ok", outcome: "issued", position: 1, at: "" };
  for (const at of [0, 5_000, 5_010, 7_300, 7_310]) attempt(at, issued);
  attempt(6_000, { is: "ok", outcome: "already_issued", position: 1, at: "" });
  attempt(6_500, { is: "refused", outcome: "sold_out" }, 8_001);
  attempt(6_600, { is: "refused", outcome: "sold_out" }, 8_000);
  // The clients did not run for a while of it.
  attempt(20_000, { is: "refused", outcome: "sold_out" }, 8_100);
  history.stalls.push({ from: 14_000, until: 14_100 });
  history.strokes.push({ from: 5_005, until: 6_000, wellAt: 6_000, isServers: false });
  assert.equal(longestGap(history, 7_400), 2_290);
  const violations = (["refusal_is_true", "holder_is_not_refused", "grant_is_kept"] as const).map(
    (invariant) => ({
      invariant,
      detail: "",
    }),
  );
  assert.deepEqual(figuresOf(history, { commits: [], looks: [] }, violations, 7_400), {
    ...{ gap: 2.29, found: 0, ready: 0, unready: 0, wrongRefusals: 2, late: 1 },
  });
});

/** The grants at these instants, after a stroke at 900. */
function grants(...times: number[]) {
  const history = newHistory(1, new Map());
  for (const answeredAt of times)
    history.attempts.push({
      ...{ request: history.attempts.length, answeredAt, invokedAt: answeredAt - 1 },
      ask: { kind: "issue", coupon: 1, user: 1 },
      answer: { is: "ok", outcome: "issued", position: 1, at: "" },
    });
  history.strokes.push({ from: 900, until: 950, wellAt: 5_000, isServers: false });
  return history;
}

test("the gap of a service that never grants again lasts until the last new user came", () => {
  assert.equal(longestGap(grants(800, 850, 1_000), 9_000), 8_000);
  assert.equal(longestGap(grants(800, 850), 9_000), 8_150);
  assert.equal(longestGap(grants(), 9_000), 8_100);
  // Who waited for an answer then still gets it.
  assert.equal(longestGap(grants(800, 1_000, 8_990, 9_900), 9_000), 7_990);
});

test("the primary is found from the first commit after a standstill to the next 201", () => {
  const search = (history: ReturnType<typeof grants>, seen = still) =>
    longestSearch(history, { commits: seen }, 9_000);
  assert.equal(search(grants(800, 1_000, 3_999, 4_300, 8_000)), 300);
  assert.equal(search(grants(800, 1_000)), 5_000, "never");
  const stood = grants(800, 1_000, 5_500);
  stood.stalls.push({ from: 3_900, until: 5_000 });
  assert.equal(search(stood), 500, "the clients did not run until 5,000");
  const again = [...still, ...commits([8_000, 8_900])];
  assert.equal(search(grants(800, 1_000, 8_100), again), 2_100, "nothing commits from 6,000 to 8,000 either");
  const before = grants(1_000, 4_700);
  before.strokes[0] = { from: 4_500, until: 5_000, wellAt: 5_000, isServers: false };
  assert.equal(search(before), 0, "the standstill was over before the first stroke");
});
