import assert from "node:assert/strict";
import { test } from "node:test";
import { wantedOf } from "./accept.ts";

const LINES = { type: "application/x-ndjson", parameters: { charset: "utf-8" } };
const CSV = { type: "text/csv", parameters: { charset: "utf-8", header: "present" } };

for (const [accept, wanted] of [
  [undefined, LINES],
  ["", LINES],
  ["*/*", LINES],
  ["nonsense", LINES],
  [",, ;q=1,", LINES],
  ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", LINES],
  ["application/*", LINES],
  ["application/x-ndjson, text/csv", LINES],
  ["application/x-ndjson;q=0.5, text/csv;q=0.4", LINES],
  ["text/csv;q=0", undefined],
  ["text/csv;q=0, */*", LINES],
  ["application/x-ndjson;q=0, */*;q=0.1", CSV],
  ["text/csv", CSV],
  ["TEXT/CSV", CSV],
  ["text/*", CSV],
  ["text/csv, */*", CSV],
  ["*/*, text/csv", CSV],
  ["text/csv;q=0.5, application/x-ndjson;q=0.4", CSV],
  ["text/csv; q=0.001", CSV],
  ["text/csv;charset=utf-8", CSV],
  ['text/csv; charset="UTF-8"; header=present', CSV],
  ["text/csv;charset=iso-8859-1", undefined],
  ["text/csv;header=absent", undefined],
  ["text/csv;header=absent, */*;q=0.1", LINES],
  ["text/csv;q=1, text/csv;header=present;q=0, application/*;q=0.2", LINES],
  ['text/html;x="a,b", text/csv;q=0.9', CSV],
  ["text/csv;q=2, application/x-ndjson;q=0.1", LINES],
  ["application/json", undefined],
  ["text/html", undefined],
  ["*/*;q=0", undefined],
  ["text", LINES],
] as const)
  test(`Accept: ${accept}`, () => assert.equal(wantedOf(accept, [LINES, CSV]), wanted));

test("a long one is read at once", () => {
  const started = performance.now();
  wantedOf('"'.repeat(8_000) + "text/csv;".repeat(900), [LINES, CSV]);
  assert.ok(performance.now() - started < 1_000);
});
