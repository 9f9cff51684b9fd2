import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createShared } from "./shared.ts";

/** Questions that are answered by hand. */
function questions() {
  const asked: { resolve: (answer: number) => void; reject: (error: Error) => void }[] = [];
  const shared = createShared(
    () => new Promise<number>((resolve, reject) => void asked.push({ resolve, reject })),
  );
  return { asked, shared };
}

test("who comes while one is asked shares the next", async () => {
  const { asked, shared } = questions();
  const first = shared();
  const later = [shared(), shared(), shared()];
  assert.equal(asked.length, 1);
  asked[0]?.resolve(1);
  assert.equal(await first, 1);
  await turn();
  assert.equal(asked.length, 2);
  const last = shared();
  asked[1]?.resolve(2);
  assert.deepEqual(await Promise.all(later), [2, 2, 2]);
  await turn();
  assert.equal(asked.length, 3);
  asked[2]?.resolve(3);
  assert.equal(await last, 3);
});

test("idle, it asks at once, each time", async () => {
  const { asked, shared } = questions();
  for (const n of [1, 2]) {
    const answer = shared();
    assert.equal(asked.length, n);
    asked[n - 1]?.resolve(n);
    assert.equal(await answer, n);
  }
});

test("a failure is told to those who share it, and to nobody else", async () => {
  const { asked, shared } = questions();
  const [first, second] = [shared(), shared()];
  asked[0]?.reject(new Error("first"));
  await assert.rejects(first, /first/);
  await turn();
  asked[1]?.resolve(2);
  assert.equal(await second, 2);
});
