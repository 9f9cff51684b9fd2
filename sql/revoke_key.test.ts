import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "postgres";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";

const { owner, admin, watch } = await testDatabase();

const record = (id: string) => admin`select from record_key(${id}, 'POS north', 'use', '2059-01-01Z')`;
const revoke = (id: string) => rows(admin`select outcome, name from revoke_key(${id}, 'lost', 'admin:root')`);

test("revoked, already_revoked: with whose it is, once in the audit", async () => {
  await record("k-1");
  assert.deepEqual(await revoke("k-1"), [["revoked", "POS north"]]);
  assert.deepEqual(await revoke("k-1"), [["already_revoked", "POS north"]]);
  assert.deepEqual(
    await rows(admin`select actor, reason, new_values from audit_trail() where command = 'revoke_key'`),
    [["admin:root", "lost", { id: "k-1" }]],
  );
});

test("one that was never recorded is revoked by its id, and has no name", async () => {
  assert.deepEqual(await revoke("jti-7 of https://id.example/"), [["revoked", null]]);
  assert.deepEqual(await revoke("jti-7 of https://id.example/"), [["already_revoked", null]]);
});

test("two at once: one revokes, the other waits and is told so", async () => {
  await record("k-2");
  const late = await owner.begin(async (sql) => {
    await sql`select from revoke_key('k-2')`;
    const answer = revoke("k-2");
    await waiting(watch);
    return { answer };
  });
  assert.deepEqual(await late.answer, [["already_revoked", "POS north"]]);
});

test("refuses bad arguments", async () => {
  const call = (args: string) => admin.unsafe<Row[]>(`select from revoke_key(${args})`);
  await refusesArgument(call("null"), "key_id", "22004");
  await refusesArgument(call("''"), "key_id", "22023");
  await refusesArgument(call("repeat('k', 501)"), "key_id", "22023");
  await refusesArgument(call("'k', ''"), "reason", "22023");
});
