import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { createPages } from "./pages.ts";

test("a page that could not be read is read again, and kept from then on", async () => {
  let reads = 0;
  const page = createPages((file) => {
    reads += 1;
    return reads === 1 ? Promise.reject(new Error("EMFILE: too many open files")) : readFile(file);
  });
  await assert.rejects(page("/page.js"), { message: "EMFILE: too many open files" });
  const read = await page("/page.js");
  assert.match(read.headers["etag"] ?? "", /^"[\w-]{22}"$/);
  assert.equal(await page("/page.js"), read);
  assert.equal(reads, 2);
});
