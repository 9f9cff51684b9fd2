/** The table of a run, and the README held against the results that are kept. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkBlock } from "../harness/readme-blocks.ts";
import { INVARIANTS } from "./checker/check.ts";
import { faults } from "./faults.ts";
import { type Answer, newHistory } from "./history.ts";
import { bugs } from "./planted.ts";
import { blocksOf, README, readResults, renderRows } from "./report.ts";
import { rowOf } from "./row.ts";

test("a row: requests once each, what was told of them, what the retry found done, the worst recovery", () => {
  const history = newHistory(1, new Map());
  const attempt = (request: number, user: number, answer: Answer) =>
    history.attempts.push({
      request,
      ask: { kind: "issue", coupon: 1, user },
      invokedAt: 0,
      answeredAt: 1,
      answer,
    });
  attempt(1, 1, { is: "unknown", outcome: "lost" });
  attempt(1, 1, { is: "ok", outcome: "already_issued", position: 1 });
  attempt(2, 2, { is: "unknown", outcome: "lost" });
  attempt(2, 2, { is: "ok", outcome: "issued", position: 2 });
  attempt(3, 2, { is: "ok", outcome: "already_issued", position: 2 });
  attempt(4, 3, { is: "undone", outcome: "overloaded" });
  history.strokes.push({ from: 0, until: 10, wellAt: 1_510, isServers: false });
  history.strokes.push({ from: 0, until: 10, wellAt: 20, isServers: false });
  const violations = (["grant_is_kept", "within_count", "within_count", "live_again"] as const).map(
    (invariant) => ({ invariant, detail: "" }),
  );
  const row = rowOf("f", 2, violations, history);
  assert.deepEqual(row, {
    fault: "f",
    times: 2,
    requests: 4,
    acknowledged: 2,
    undone: 1,
    unknown: 2,
    done: 1,
    lost: 1,
    overIssued: 2,
    other: 1,
    recovery: 1.5,
  });
  assert.equal(
    renderRows([row]).split("\n").at(-1),
    "| f     |     2 |        4 |            2 |        1 |       2 |            1 |    1 |           2 |     1 |       1.50 |",
  );
});

test("README.md tells how many faults the kept run had, and when it was", () => {
  const results = readResults();
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, ...said] =
    readme.match(/kept run\s+under (\d+) faults, from `kill -9` to a full disk \((\S+)\)/) ?? [];
  assert.deepEqual(said, [`${results?.rows.length}`, results?.date.slice(0, 10)]);
});

test("bench/faults/README.md shows the results that are kept: of every fault, bug and promise", () => {
  const results = readResults();
  assert.ok(results, "run ./sd faults");
  for (const [name, block] of Object.entries(blocksOf(results))) checkBlock(README, name, block);
  const ran = [...results.rows.map(({ fault }) => fault), ...results.skipped.map(({ fault }) => fault)];
  assert.deepEqual(
    faults.filter(({ name }) => !ran.includes(name)),
    [],
  );
  // What is newer than the run is said to be.
  const isIn = (names: readonly string[]) => (name: string) => names.includes(name);
  const planted = Object.keys(results.planted);
  assert.deepEqual(planted, bugs.map(({ name }) => name).filter(isIn(planted)));
  const checked = Object.keys(results.checked);
  assert.deepEqual(checked, INVARIANTS.filter(isIn(checked)));
  for (const row of results.rows)
    assert.deepEqual([row.lost, row.overIssued, row.other], [0, 0, 0], row.fault);
  for (const [bug, { times, found }] of Object.entries(results.planted))
    assert.ok(found > 0 && found <= times, bug);
});
