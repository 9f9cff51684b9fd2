import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin } = await testDatabase();

const [A, B] = ["https://a.example/", "https://b.example/"];
const idOf = (issuer: string, subject: string) =>
  value(
    admin`select user_id::float8 from resolve_subjects(${issuer}, ${[subject]}::text[], null, true)`,
  ) as Promise<number>;

test("by subject, at one issuer or at any, and by user", async () => {
  const [ann, other, ben] = [await idOf(A, "ann"), await idOf(B, "ann"), await idOf(A, "ben")];
  const find = (user_id: number | null, subject: string | null, issuer: string | null = null) =>
    rows(admin`
      select subject, issuer, user_id::float8 from find_subjects(${user_id}::bigint, ${subject}, ${issuer})`);
  assert.deepEqual(await find(null, "ann"), [
    ["ann", A, ann],
    ["ann", B, other],
  ]);
  assert.deepEqual(await find(null, "ann", B), [["ann", B, other]]);
  assert.deepEqual(await find(ben, null), [["ben", A, ben]]);
  assert.deepEqual(await find(ben, "ann"), []);
  assert.deepEqual(await find(null, "Ann"), []);
  assert.deepEqual(await find(1, null), []);
});

test("refuses to list all", () => refusesArgument(admin`select from find_subjects()`, "subject", "22023"));
