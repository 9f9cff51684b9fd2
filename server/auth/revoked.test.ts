import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock } from "../../bench/harness/clock.ts";
import { createRevoked } from "./revoked.ts";

/** A database that has these revoked, or is not there. */
function asking() {
  const clock = createClock();
  const database = { ids: ["a"] as string[], error: undefined as Error | undefined, asked: 0, takes: 0 };
  const reported: unknown[] = [];
  const isRevoked = createRevoked(
    async () => {
      database.asked += 1;
      if (database.error) throw database.error;
      const { ids, takes } = database;
      if (takes > 0) await new Promise<void>((resolve) => void clock.after(takes, resolve));
      return ids;
    },
    clock,
    (error) => void reported.push(error),
  );
  return { isRevoked, clock, database, reported };
}

test("the first one waits for the ids, and nobody in the 15 s after it asks", async () => {
  const { isRevoked, clock, database } = asking();
  assert.equal(database.asked, 0);
  const first = [isRevoked("a"), isRevoked("b")];
  assert.ok(first.every((each) => each instanceof Promise));
  assert.deepEqual(await Promise.all(first), [true, false]);
  database.ids = ["b"];
  await clock.pass(14_999);
  assert.deepEqual([isRevoked("a"), isRevoked("b"), database.asked], [true, false, 1]);
});

test("from 15 s on they are read again, and nobody waits for that", async () => {
  const { isRevoked, clock, database } = asking();
  await isRevoked("a");
  database.ids = ["a", "b"];
  await clock.pass(15_000);
  assert.deepEqual([isRevoked("b"), isRevoked("b"), database.asked], [false, false, 2]);
  await clock.pass(0);
  assert.deepEqual([isRevoked("b"), database.asked], [true, 2]);
});

test("whoever comes 45 s after the last look waits for a new one", async () => {
  const { isRevoked, clock, database } = asking();
  await isRevoked("a");
  database.ids = ["b"];
  await clock.pass(45_000);
  assert.equal(await isRevoked("b"), true);
  assert.equal(database.asked, 2);
});

test("the 45 s begin when it was asked: what was revoked since may not be in the answer", async () => {
  const { isRevoked, clock, database } = asking();
  database.takes = 2_000;
  const first = isRevoked("b");
  database.ids = ["b"];
  await clock.pass(2_000);
  assert.equal(await first, false);
  database.takes = 40_000;
  await clock.pass(13_000);
  assert.equal(isRevoked("b"), false);
  await clock.pass(29_999);
  assert.equal(isRevoked("b"), false);
  await clock.pass(1);
  const late = isRevoked("b");
  assert.ok(late instanceof Promise);
  await clock.pass(10_000);
  assert.equal(await late, true);
});

test("while nobody can tell: what is known holds for 45 s, then it is said that nobody knows", async () => {
  const { isRevoked, clock, database, reported } = asking();
  await isRevoked("a");
  database.error = new Error("no database");
  await clock.pass(15_000);
  for (let i = 0; i < 5; i++) assert.deepEqual([isRevoked("a"), isRevoked("b")], [true, false]);
  await clock.pass(0);
  assert.deepEqual([database.asked, reported], [2, [database.error]]);
  await clock.pass(999);
  isRevoked("b");
  assert.equal(database.asked, 2);
  await clock.pass(1);
  isRevoked("b");
  await clock.pass(29_000);
  assert.equal(database.asked, 3, "again after a second, and not before");
  await assert.rejects(async () => isRevoked("b"), database.error);
  database.error = undefined;
  assert.equal(await isRevoked("b"), false);
});
