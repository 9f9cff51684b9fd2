/** A wait lets happen what it waits for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./waiting.ts";

test("what a timer brings about is seen, and between two looks the processor is left to others", async () => {
  const began = performance.now();
  let isDone = false;
  let looks = 0;
  setTimeout(() => {
    isDone = true;
  }, 100);
  await until(() => {
    looks += 1;
    return isDone;
  });
  const most = 2 + (performance.now() - began) / 4; // a timer of 5 ms may come a bit early
  assert.ok(isDone && looks <= most, `${looks} looks`);
});
