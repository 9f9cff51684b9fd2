/** A wait lets happen what it waits for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./waiting.ts";

test("what a timer brings about is seen, though the look at it is only one into memory", async () => {
  let isDone = false;
  let looks = 0;
  setTimeout(() => {
    isDone = true;
  }, 1);
  await until(async () => {
    looks += 1;
    assert.ok(looks < 1_000_000, "the timer gets no turn");
    return isDone;
  }, "the timer has fired");
  assert.equal(isDone, true);
});
