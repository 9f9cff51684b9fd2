import assert from "node:assert/strict";
import { test } from "node:test";
import { render } from "./series.ts";
import { kinds } from "./volleys.ts";

const refuse = kinds.find(({ name }) => name === "refuse") as (typeof kinds)[number];

test("a ratio is the first side by the second: of the medians, and from the least round to the most", () => {
  const rounds = new Map([
    ["working tree", [1_000, 3_000, 2_000].map((rate) => ({ "answers a second": rate, "p50 ms": 0 }))],
    ["abcdef0", [4_000, 4_000, 5_000].map((rate) => ({ "answers a second": rate, "p50 ms": 0 }))],
  ]);
  // biome-ignore format: as it looks
  assert.equal(render({ kind: refuse, connections: 64, rounds }), [
    "| refuse, 64 connections |        working tree |             abcdef0 |            ratio |",
    "| ---------------------- | ------------------: | ------------------: | ---------------: |",
    "| answers a second       | 2,000 (1,000–3,000) | 4,000 (4,000–5,000) | 0.50 (0.25–0.75) |",
    "| p50 ms                 |                   0 |                   0 |                  |",
  ].join("\n"));
});
