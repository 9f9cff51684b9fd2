import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { compactJson } from "./compact-json.ts";

test("what fits stands on one line, lists of plain values in any case, and the value is the same when it is read again", () => {
  const numbers = Array.from({ length: 100 }, (_, i) => 1_000 + i);
  const value = {
    date: "2026-11-22",
    empty: {},
    none: [],
    rows: [
      { name: 'a "b"', n: 1, missing: null },
      { at: [1, 2], deep: { numbers } },
    ],
    answers: { "200": [3, { n: 2.5 }] },
    measures: [{ name: "m".repeat(200), figures: { "p50 ms": [2, 1, 3], "requests refused": 100 } }],
    texts: [{ name: "t".repeat(200), figures: { "p50 ms": "2 to 3", "requests refused": 100 } }],
  };
  const text = compactJson({ ...value, left: undefined });
  assert.deepEqual(JSON.parse(text), value);
  assert.equal(
    text,
    `{
  "date": "2026-11-22",
  "empty": {},
  "none": [],
  "rows": [
    { "name": "a \\"b\\"", "n": 1, "missing": null },
    {
      "at": [1, 2],
      "deep": {
        "numbers": [${numbers.join(", ")}]
      }
    }
  ],
  "answers": { "200": [3, { "n": 2.5 }] },
  "measures": [
    { "name": "${"m".repeat(200)}", "figures": { "p50 ms": [2, 1, 3], "requests refused": 100 } }
  ],
  "texts": [
    {
      "name": "${"t".repeat(200)}",
      "figures": { "p50 ms": "2 to 3", "requests refused": 100 }
    }
  ]
}`,
  );
});

test("the results that are kept are written so, and have 500 lines at most", () => {
  const bench = new URL("../", import.meta.url);
  const kept = readdirSync(bench, { recursive: true, encoding: "utf8" })
    .filter((name) => /(^results\/\w+|results)\.json$/.test(name))
    .map((name) => [name, readFileSync(new URL(name, bench), "utf8")] as const);
  for (const [name, text] of kept) assert.equal(text, `${compactJson(JSON.parse(text))}\n`, name);
  const lines = kept.reduce((sum, [, text]) => sum + text.split("\n").length - 1, 0);
  assert.ok(kept.length >= 14 && lines <= 500, `${kept.length} files of ${lines} lines`);
});
