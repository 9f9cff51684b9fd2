/** The README's block and the page, held against the results that are kept. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { spread } from "../harness/stats.ts";
import { names } from "../load/scenarios.ts";
import { renderPage } from "./page.ts";
import { readResults, renderBlock, renderResult, table, withBlock, writeResult } from "./report.ts";
import type { Result } from "./result.ts";

const example: Result = {
  scenario: "refuse",
  quick: false,
  date: "2026-11-22T10:00:00.000Z",
  seconds: 12.3,
  options: { rounds: 3, connections: [64] },
  machine: {
    cpu: "Some <CPU>",
    cores: 2,
    memory: 8,
    kernel: "Linux 6.1",
    node: "20.19.0",
    postgresql: "18.4",
  },
  measures: [
    {
      group: "64 connections",
      name: "this service",
      figures: { "a second": spread([900, 1_000, 1_100]), "p50 ms": spread([1]), "p99 ms": spread([4]) },
    },
    { group: "64 connections", name: "hello", figures: { "a second": spread([2_000]) } },
  ],
  headlines: [{ name: "refuse / hello, 64 connections", value: 0.5 }],
  checks: ["all of it"],
  failures: [],
  notes: ["A note."],
  answers: { "409 sold_out": 1_000, "201 issued": 5 },
  timeline: {
    slice: 0.1,
    startTime: 0.1,
    soldOutAt: 0.15,
    answers: { not_started: [5, 0], issued: [0, 2], sold_out: [0, 9] },
    slowest: [3, 12],
  },
};

test("a table that reads as it is", () => {
  assert.equal(
    table(["name", "ms"], [["one", "1.00"], ["twenty", "12.3 (1.00–20.0)"]]), // biome-ignore format: as it looks
    [
      "| name   |               ms |",
      "| ------ | ---------------: |",
      "| one    |             1.00 |",
      "| twenty | 12.3 (1.00–20.0) |",
    ].join("\n"),
  );
});

test("a result as text", () => {
  const table = [
    "|                |              |          a second | p50 ms | p99 ms |",
    "| -------------- | ------------ | ----------------: | -----: | -----: |",
    "| 64 connections | this service | 1,000 (900–1,100) |   1.00 |   4.00 |",
    "| 64 connections | hello        |             2,000 |        |        |",
  ];
  assert.deepEqual(renderResult(example).split("\n").slice(0, 4), table);
  const text = renderResult(example);
  assert.match(text, /^\| refuse \/ hello, 64 connections \| 0\.50 \| ≥ 0\.85 \| ≥ 0\.95 +\| MISS \|$/m);
  assert.match(text, /^\| +201 \| issued +\| +5 \|$/m);
  assert.match(text, /^- A note\.$/m);
  assert.match(text, /^Verified: all of it\.$/m);
  assert.match(renderResult({ ...example, failures: ["rows: 4, not 5"] }), /^WRONG \(1\):\nrows: 4, not 5$/m);
});

test("a block with what there is, and how to make what there isn't", () => {
  const block = renderBlock(["refuse", "grant"], [example]);
  assert.match(
    block,
    /^### refuse\n\n2026-11-22, 12 s on 2 cores \(Some <CPU>\), 8 GiB, Linux 6\.1, Node\.js 20\.19\.0, PostgreSQL 18\.4\. rounds 3, connections 64\.\n/,
  );
  assert.match(block, /### grant\n\nNo full run is kept yet: `\.\/sd bench grant` makes one\.$/);
});

test("a block replaces what stood between the markers, and nothing else", () => {
  const readme = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n";
  assert.equal(
    withBlock(readme, "new $& $1"),
    "before\n<!-- results -->\nnew $& $1\n<!-- /results -->\nafter\n",
  );
  assert.throws(() => withBlock("no markers", "new"), /has no <!-- results -->/);
});

test("a result is the same when it is read again", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "bench-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "refuse.json");
  writeResult(file, example);
  const text = readFileSync(file, "utf8");
  assert.deepEqual(JSON.parse(text), example);
  assert.match(text, /"rounds": \[900, 1000, 1100\]/);
});

test("the page: every figure and picture, nothing from elsewhere, nothing unescaped", () => {
  const page = renderPage([example]);
  for (const part of [
    "<h2>refuse</h2>",
    "refuse / hello, 64 connections",
    "MISS",
    "<polygon",
    "<polyline",
    "<rect",
  ])
    assert.ok(page.includes(part), part);
  assert.ok(page.includes("Some &#60;CPU&#62;"));
  assert.doesNotMatch(page, /<script|https?:|url\(|NaN|undefined/);
});

test("bench/README.md and the page show the results that are kept", () => {
  const results = readResults(names);
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  assert.equal(withBlock(readme, renderBlock(names, results)), readme, "run ./sd bench report");
  const page = new URL("../results/index.html", import.meta.url);
  if (results.length > 0 || existsSync(page))
    assert.equal(readFileSync(page, "utf8"), renderPage(results), "run ./sd bench report");
});
