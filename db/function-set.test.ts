import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { digestOf } from "./release.ts";
import { SOURCES } from "./setup.ts";

test("the functions have not changed without their number", async () => {
  const text = await readFile(join(SOURCES.functions, "internal/function_set.sql"), "utf8");
  assert.equal(
    text.match(/^-- digest: (\w+)$/m)?.[1],
    await digestOf(SOURCES.functions),
    "a file of functions, rights or roles has changed: in sql/internal/function_set.sql raise the number by one, " +
      "then put there the digest that this test expects",
  );
});
