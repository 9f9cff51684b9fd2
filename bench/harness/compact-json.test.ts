import assert from "node:assert/strict";
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
  "answers": { "200": [3, { "n": 2.5 }] }
}`,
  );
});
