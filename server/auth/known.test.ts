import assert from "node:assert/strict";
import { test } from "node:test";
import type { Caller } from "../api/caller.ts";
import { createKnown } from "./known.ts";

const NOW = 1_800_000_000;
const user = (user_id: number): Caller => ({ role: "user", user_id, subject: String(user_id) });
const verified = (caller: Caller, exp = NOW + 60) => ({ caller, exp });

test("whoever was added is found again, as it was", () => {
  const known = createKnown(() => true);
  const callers: Caller[] = [
    ...[1, 42, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].map(user),
    { role: "service", subject: "shop" },
    { role: "admin", subject: "shop" },
    { role: "admin", subject: "7" },
  ];
  for (const [i, caller] of callers.entries()) known.add(`token ${i}`, 1, NOW, verified(caller));
  for (const [i, caller] of callers.entries()) assert.deepEqual(known.find(`token ${i}`, NOW), caller);
  assert.equal(known.find("another", NOW), undefined);
});

test("nobody is found in another generation of the keys, nor from the expiry on", () => {
  let current = 1;
  const known = createKnown((generation) => generation === current);
  known.add("token", 1, NOW, verified(user(42), NOW + 10));
  assert.deepEqual(known.find("token", NOW + 9.999), user(42));
  assert.equal(known.find("token", NOW + 10), undefined);
  current = 2;
  assert.equal(known.find("token", NOW), undefined);
  known.add("token", 2, NOW, verified(user(43), NOW + 10.9));
  assert.deepEqual(known.find("token", NOW + 9), user(43));
  assert.equal(known.find("token", NOW + 10), undefined, "a fraction of a second is checked anew");
  current = 3;
  known.add("token", 3, NOW, verified(user(44), 1e308));
  assert.deepEqual(known.find("token", 4_294_967_294), user(44));
});

test("who is forgotten is found again once it was added anew, and takes nobody along", () => {
  const known = createKnown(() => true, 1);
  for (const i of [1, 2]) known.add(`token ${i}`, 1, NOW, verified(user(i)));
  for (const token of ["token 1", "token 1", "another"]) known.forget(token);
  assert.deepEqual([known.find("token 1", NOW), known.find("token 2", NOW)], [undefined, user(2)]);
  known.add("token 1", 1, NOW, verified(user(3)));
  assert.deepEqual(known.find("token 1", NOW), user(3));
});

test("a full set forgets one for one, those that are no longer good first", () => {
  const known = createKnown(() => true, 1);
  const isKnown = (i: number, now = NOW) => known.find(`token ${i}`, now) !== undefined;
  for (let i = 0; i < 8; i++)
    known.add(`token ${i}`, 1, NOW, verified(user(i + 1), NOW + (i === 3 ? 5 : 60)));
  assert.deepEqual(
    [...Array(8).keys()].map((i) => isKnown(i)),
    Array(8).fill(true),
  );
  known.add("token 8", 1, NOW + 5, verified(user(9)));
  assert.deepEqual(
    [...Array(9).keys()].filter((i) => !isKnown(i, NOW + 5)),
    [3],
  );
  for (let i = 9; i < 100; i++) {
    known.add(`token ${i}`, 1, NOW + 5, verified(user(i + 1)));
    assert.ok(isKnown(i, NOW + 5));
    assert.equal([...Array(i + 1).keys()].filter((j) => isKnown(j, NOW + 5)).length, 8);
  }
});

test("services and admins: a thousand, and no more", () => {
  const known = createKnown(() => true);
  for (let i = 0; i < 1_001; i++)
    known.add(`token ${i}`, 1, NOW, verified({ role: "service", subject: `${i}` }));
  for (const i of [0, 999])
    assert.deepEqual(known.find(`token ${i}`, NOW), { role: "service", subject: `${i}` });
  assert.equal(known.find("token 1000", NOW), undefined);
  known.add("another of 7", 1, NOW, verified({ role: "service", subject: "7" }));
  assert.deepEqual(known.find("another of 7", NOW), { role: "service", subject: "7" });
});

test("250,000 users take 30 MB at most, and nearly all are known", () => {
  const before = process.memoryUsage();
  const known = createKnown(() => true);
  const tokens = (i: number) => `${"x".repeat(400)}${i}`;
  for (let i = 1; i <= 250_000; i++) known.add(tokens(i), 1, NOW, verified(user(i)));
  const after = process.memoryUsage();
  const megabytes = (after.arrayBuffers - before.arrayBuffers) / 1e6;
  assert.ok(megabytes <= 30, `${megabytes} MB`);
  let found = 0;
  for (let i = 1; i <= 250_000; i++) if (known.find(tokens(i), NOW)?.subject === String(i)) found += 1;
  assert.ok(found > 247_500, `${found}`);
});

test("keys of one service are known apart, and the places of those that have expired are taken again", () => {
  const known = createKnown(() => true);
  const key = (i: number): Caller => ({ role: "service", subject: "shop", key_id: `key ${i}` });
  for (let i = 0; i < 1_000; i++)
    known.add(`token ${i}`, 1, NOW, verified(key(i), NOW + (i === 7 ? 10 : 60)));
  assert.deepEqual(known.find("token 7", NOW), key(7));
  assert.deepEqual(known.find("token 8", NOW), key(8));
  known.add("late", 1, NOW + 9, verified(key(1_000)));
  assert.equal(known.find("late", NOW + 9), undefined, "no place is free");
  // Another token of the same key lasts longer, and so does its place.
  known.add("token 7 again", 1, NOW + 9, verified(key(7), NOW + 30));
  known.add("late", 1, NOW + 10, verified(key(1_000)));
  assert.equal(known.find("late", NOW + 10), undefined);
  known.add("late", 1, NOW + 30, verified(key(1_000)));
  assert.deepEqual(known.find("late", NOW + 30), key(1_000));
  for (const now of [NOW + 30, NOW + 29])
    assert.equal(known.find("token 7 again", now), undefined, "set back");
  const narrow: Caller = { ...key(8), role: "service", scopes: ["read"] } as Caller;
  known.add("narrow", 1, NOW + 60, verified(narrow, NOW + 90));
  assert.deepEqual(known.find("narrow", NOW + 60), narrow);
});
