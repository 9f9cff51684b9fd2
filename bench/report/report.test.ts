/** The README's block and the picture, held against the results that are kept. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkBlock } from "../harness/readme-blocks.ts";
import { spread } from "../harness/stats.ts";
import { judge } from "../load/bars.ts";
import { names } from "../load/scenarios.ts";
import { renderDrop } from "./drop.ts";
import {
  PICTURE,
  README,
  readDrop,
  readResults,
  renderBlock,
  renderResult,
  table,
  writeResult,
} from "./report.ts";
import type { Drop, Measure, Result } from "./result.ts";

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
  assert.match(text, /^\| refuse \/ hello, 64 connections \| 0\.50 \| ≥ 0\.95 \| ≥ 1\.2 +\| MISS \|$/m);
  assert.match(text, /^\| +201 \| issued +\| +5 \|$/m);
  assert.match(text, /^- A note\.$/m);
  assert.match(text, /^Verified: all of it\.$/m);
  assert.match(renderResult({ ...example, failures: ["rows: 4, not 5"] }), /^WRONG \(1\):\nrows: 4, not 5$/m);
});

test("the README names the scenarios whose kept runs miss a bar", () => {
  const missing = readResults(names)
    .filter(({ scenario, headlines }) =>
      headlines.some((headline) => judge(scenario, headline)?.verdict === "MISS"),
    )
    .map(({ scenario }) => scenario);
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, said = ""] = readme.match(/^- Kept runs of (.*) miss bars: /m) ?? [];
  assert.deepEqual(said.match(/\w+(?=`)/g), missing);
});

test("the README tells of the burst what its kept run says", () => {
  const [burst] = readResults(["burst"]);
  const [rate] = burst?.measures[0]?.figures["answers a second"] ?? [];
  const [sellOut] = burst?.headlines ?? [];
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const said = readme.match(
    /answered ([\d,]+) requests a second, and 25 units were gone ([\d.]+) ms after\s+the start \((\S+);/,
  );
  const day = burst?.date.slice(0, 10);
  assert.deepEqual(said?.slice(1), [
    Math.round(rate as number).toLocaleString("en"),
    sellOut?.value.toFixed(1),
    day,
  ]);
});

test("a block with what there is, and how to make what there isn't", () => {
  const block = renderBlock(["refuse", "grant"], [example]);
  assert.match(
    block,
    /^### refuse\n\n2026-11-22, 12 s on 2 cores \(Some <CPU>\), 8 GiB, Linux 6\.1, Node\.js 20\.19\.0, PostgreSQL 18\.4\. rounds 3, connections 64\.\n/,
  );
  assert.match(block, /^\| 64 connections \| this service \|/m);
  assert.match(block, /### grant\n\nNo full run is kept yet: `\.\/sd bench grant` makes one\.$/);
});

test("several groups in a block: a column each if they have what is compared, and only ratios that have a bar or are shown without", () => {
  const more = { ...(example.measures[0] as Measure), group: "256 connections" };
  const other = { group: "watching", name: "pages", figures: { "p50 ms": spread([2]) } };
  const block = renderBlock(
    ["refuse"],
    [
      {
        ...example,
        measures: [...example.measures, more, other],
        headlines: [
          ...example.headlines,
          { name: "refuse / something", value: 1 },
          { name: "50 servers", value: 1, isShown: true },
        ],
      },
    ],
  );
  assert.deepEqual(block.split("\n").slice(4, 14), [
    "| a second     |    64 connections |   256 connections |",
    "| ------------ | ----------------: | ----------------: |",
    "| this service | 1,000 (900–1,100) | 1,000 (900–1,100) |",
    "| hello        |             2,000 |                   |",
    "",
    "|                                |      | bar    | stretch |      |",
    "| ------------------------------ | ---: | ------ | ------- | ---- |",
    "| refuse / hello, 64 connections | 0.50 | ≥ 0.95 | ≥ 1.2   | MISS |",
    "| 50 servers                     | 1.00 |        |         |      |",
    "",
  ]);
});

test("a result is the same when it is read again", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "bench-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "refuse.json");
  writeResult(file, example);
  const text = readFileSync(file, "utf8");
  assert.deepEqual(JSON.parse(text), example);
  assert.match(text, /"a second": \[1000, 900, 1100\]/);
});

const drop: Drop = {
  date: example.date,
  machine: example.machine,
  requests: 1_000,
  connections: 10,
  count: 5,
  sellOut: 12.3,
  whole: { from: -1, slice: 1, answers: { not_started: [400, 0], issued: [0, 5], sold_out: [0, 595] } },
  start: { from: -0.005, slice: 0.005, answers: { not_started: [9, 2], issued: [0, 5] } },
};

test("the picture: title, numbers and machine as text, nothing from elsewhere, nothing unescaped", () => {
  const picture = renderDrop(drop);
  for (const part of [
    "1,000 requests for 5 coupons",
    "400 told “not started”",
    "595 told “sold out”",
    "The start: 5 granted within 12.3 ms",
    "answers in 5 ms",
    "One run of 2026-11-22 through 10 connections",
    "Some &#60;CPU&#62;",
  ])
    assert.ok(picture.includes(part), part);
  assert.doesNotMatch(
    picture.replace('xmlns="http://www.w3.org/2000/svg"', ""),
    /<script|https?:|url\(|NaN|undefined/,
  );
});

test("the picture: areas and bars are as high as their numbers", () => {
  const picture = renderDrop(drop);
  const heights = (key: string) => {
    const [, points = ""] = picture.match(new RegExp(`<polygon class="${key}" points="([^"]*)"`)) ?? [];
    const ys = points.split(" ").map((point) => Number(point.split(",")[1]));
    return ys.slice(0, 3).map((y, i) => (ys[5 - i] ?? 0) - y);
  };
  const [, full = 0] = picture.match(/<rect class="waiting"[^>]* height="(\d+)"/)?.map(Number) ?? [];
  const share = (height: number) => Math.round((height / full) * 1_000);
  assert.deepEqual(heights("early").map(share), [0, 400, 400]);
  assert.deepEqual(heights("gone").map(share), [0, 0, 595]);
  const bars = (key: string) =>
    [...picture.matchAll(new RegExp(`<rect class="${key}"[^>]* height="([\\d.]+)"/>`, "g"))].map(
      ([, height]) => Number(height),
    );
  const [nine = 0, two = 0] = bars("early");
  assert.deepEqual(
    [two, bars("granted")[0]].map((height) => Math.round(((height ?? 0) / nine) * 9)),
    [2, 5],
  );
});

test("bench/README.md and the picture show the results that are kept", () => {
  checkBlock(README, "results", renderBlock(names, readResults(names)));
  assert.equal(readFileSync(PICTURE, "utf8"), renderDrop(readDrop()), "run ./sd bench report");
});
