/** How names are looked up: by name servers that answer when the test says so. */
import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { test } from "node:test";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { createResolve } from "./resolve.ts";

const ADDRESSES: LookupAddress[] = [{ address: "8.8.8.8", family: 4 }];

function resolving() {
  const clock = createClock();
  const asked: string[] = [];
  let answer = (_: LookupAddress[] | Error) => {};
  const resolve = createResolve((name) => {
    asked.push(name);
    return new Promise((done, fail) => {
      answer = (given) => (given instanceof Error ? fail(given) : done(given));
    });
  }, clock);
  return {
    asked,
    resolve,
    async answer(given: LookupAddress[] | Error) {
      answer(given);
      await settled();
    },
    pass: clock.pass,
  };
}

test("one name at a time, once for all who ask for it", async () => {
  const { asked, resolve, answer } = resolving();
  const all = ["a.example", "a.example", "b.example"].map(resolve);
  await settled();
  assert.deepEqual(asked, ["a.example"]);
  await answer(ADDRESSES);
  assert.deepEqual(asked, ["a.example", "b.example"]);
  await answer(ADDRESSES);
  assert.deepEqual(await Promise.all(all), [ADDRESSES, ADDRESSES, ADDRESSES]);
});

for (const given of [ADDRESSES, new Error("no such name")])
  test(`${given instanceof Error ? "a failure" : "an answer"} is kept for ten seconds`, async () => {
    const { asked, resolve, answer, pass } = resolving();
    const told = () => resolve("a.example").catch((error) => error);
    const first = told();
    await settled();
    await answer(given);
    assert.equal(await first, given);
    await pass(9_999);
    assert.equal(await told(), given);
    assert.equal(asked.length, 1);
    await pass(1);
    void told();
    await settled();
    assert.equal(asked.length, 2);
  });

test("nobody waits longer than ten seconds, and what is found later is kept", async () => {
  const { asked, resolve, answer, pass } = resolving();
  const all = ["hangs.example", "b.example"].map((name) => resolve(name).catch(String));
  await settled();
  await pass(10_000);
  assert.deepEqual(await Promise.all(all), [
    "Error: hangs.example was not looked up in 10 s",
    "Error: b.example was not looked up in 10 s",
  ]);
  assert.deepEqual(asked, ["hangs.example"]);
  await answer(new Error("no name server answers"));
  await answer(ADDRESSES);
  assert.deepEqual(await resolve("b.example"), ADDRESSES);
  assert.deepEqual(asked, ["hangs.example", "b.example"]);
});
