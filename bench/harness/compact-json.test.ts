import assert from "node:assert/strict";
import { test } from "node:test";
import { compactJson } from "./compact-json.ts";

test("plain values on one line, everything else indented, and the same value when it is read again", () => {
  const value = {
    date: "2026-11-22",
    empty: {},
    none: [],
    rows: [
      { name: 'a "b"', n: 1, missing: null },
      { name: "c", n: 2.5, at: [1, 2] },
    ],
    answers: { "200": 3 },
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
      "name": "c",
      "n": 2.5,
      "at": [1, 2]
    }
  ],
  "answers": { "200": 3 }
}`,
  );
});
