import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "postgres";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, apiUrl } = await testDatabase();

const LATER = "2059-01-01Z";
const record = (id: string, name: string, scope: string | null = null) =>
  value(
    admin`select outcome from record_key(${id}, ${name}, ${scope}, ${LATER}::text::timestamptz, 'new till', 'admin:root')`,
  );

test("recorded, and in the audit; already_recorded changes nothing", async () => {
  assert.equal(await record("k-1", "POS north", "use read"), "recorded");
  assert.equal(await record("k-2", "shop"), "recorded");
  assert.equal(await record("k-1", "another", "issue"), "already_recorded");
  assert.deepEqual(
    await rows(
      owner`select id, name, scope, revoked_at, expires_at = ${LATER}::text::timestamptz from coupon.keys order by id`,
    ),
    [
      ["k-1", "POS north", "use read", null, true],
      ["k-2", "shop", null, null, true],
    ],
  );
  assert.deepEqual(
    await rows(
      admin`select command, actor, reason, new_values from audit_trail() where command = 'record_key' order by id`,
    ),
    [
      ["record_key", "admin:root", "new till", { id: "k-1", name: "POS north", scope: "use read" }],
      ["record_key", "admin:root", "new till", { id: "k-2", name: "shop", scope: null }],
    ],
  );
});

test("one that was revoked before stays so", async () => {
  await admin`select from revoke_key('k-0')`;
  assert.equal(await record("k-0", "late"), "already_recorded");
  assert.deepEqual(await rows(owner`select name, revoked_at is not null from coupon.keys where id = 'k-0'`), [
    [null, true],
  ]);
});

test("the server records none", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  await assert.rejects(api`select from record_key('k', 'n', null, ${LATER}::text::timestamptz)`, {
    code: "42501",
  });
});

test("refuses bad arguments", async () => {
  const call = (args: string) => admin.unsafe<Row[]>(`select from record_key(${args})`);
  await refusesArgument(call("null, 'n', null, '2059-01-01'"), "key_id", "22004");
  for (const id of ["''", "repeat('k', 501)"])
    await refusesArgument(call(`${id}, 'n', null, '2059-01-01'`), "key_id", "22023");
  await refusesArgument(call("'k', null, null, '2059-01-01'"), "name", "22004");
  for (const name of ["''", "repeat('n', 201)"])
    await refusesArgument(call(`'k', ${name}, null, '2059-01-01'`), "name", "22023");
  for (const scope of ["''", "'all'", "'use,read'", "'use '", "'Use'"])
    await refusesArgument(call(`'k', 'n', ${scope}, '2059-01-01'`), "scope", "22023");
  await refusesArgument(call("'k', 'n', null, null"), "expires_at", "22004");
  for (const end of [
    "'infinity'",
    "'-infinity'",
    "clock_timestamp()",
    "clock_timestamp() - interval '3 days'",
  ])
    await refusesArgument(call(`'k', 'n', null, ${end}`), "expires_at", "22023");
  await refusesArgument(call("'k', 'n', null, '2059-01-01', ''"), "reason", "22023");
});
