import assert from "node:assert/strict";
import { test } from "node:test";
import { printTable, shown } from "./print.ts";

test("a value cannot forge a row, nor move the cursor: what is not seen is written out", (t) => {
  const lines: unknown[] = [];
  t.mock.method(console, "log", (line: unknown) => lines.push(line));
  printTable(["id", "na\x1bme"], [[Buffer.from("k\x1b[2A\r\n k-2"), Buffer.from("caf\u00e9 \u{1f600}")]]);
  assert.deepEqual(lines, [
    " id                         | na\\u001bme",
    "----------------------------+------------",
    " k\\u001b[2A\\u000d\\u000a k-2 | caf\u00e9 \u{1f600}",
    "(1 row)",
  ]);
  assert.equal(shown("a\u202eb\u009b\u2066"), "a\\u202eb\\u009b\\u2066");
});
