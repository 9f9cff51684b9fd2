/** Which test files share a process, and which begin first. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { groupsOf, LONGEST } from "./groups.ts";

test("the files that take minutes are there, and are long ones", () => {
  assert.deepEqual(
    LONGEST.filter((file) => !existsSync(file) || !file.endsWith(".long.test.ts")),
    [],
  );
});

test("a long file has a process of its own, the longest first; short ones share as few as hold them, evenly", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "coupon-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const made = (name: string, bytes: number) => {
    const file = join(directory, name);
    writeFileSync(file, "x".repeat(bytes));
    return file;
  };
  const longest = LONGEST.at(-1) as string;
  const long = made("a.long.test.ts", 1);
  const [b, c, d] = [made("b.test.ts", 40_000), made("c.test.ts", 100_000), made("d.test.ts", 50_000)];
  assert.deepEqual(groupsOf([b, c, long, d, longest, b]), [[longest], [long], [c], [b, d]]);
  assert.deepEqual(groupsOf([b, d]), [[b, d]]);
  assert.deepEqual(groupsOf([made("empty.test.ts", 0)]), [[join(directory, "empty.test.ts")]]);
  assert.deepEqual(groupsOf([long]), [[long]]);
});
