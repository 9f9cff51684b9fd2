/** A database whose locale is Turkish, where lower('PIZZA') is not 'pizza'. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { rows, value } from "../bench/harness/rows.ts";
import { connect, withConnection } from "../db/connect.ts";
import { setUp } from "../db/setup.ts";
import { targetOf } from "../db/target.ts";

test("a code is one whatever its case, and is found, whatever the database's locale", async (t) => {
  const server = process.env["SCRATCH_SERVER_URL"] ?? "";
  const name = `coupon_turkish_${randomBytes(6).toString("hex")}`;
  await withConnection(server, (sql) =>
    sql.unsafe(
      `create database ${name} template template0 encoding 'UTF8' locale_provider icu icu_locale 'tr-TR' locale 'C'`,
    ),
  );
  const target = targetOf(server).on(name);
  const admin = connect(target.as("coupon_admin"));
  t.after(async () => {
    await admin.end();
    await withConnection(server, (sql) => sql.unsafe(`drop database ${name} with (force)`));
  });
  await setUp(target);
  assert.notEqual(await value(admin`select lower('PIZZA')`), "pizza");
  const create = (code: string) =>
    value(admin`select outcome from create_coupon(${code}, 'm', '', now(), now() + interval '1 day', 10)`);
  assert.equal(await create("PIZZA"), "created");
  assert.equal(await create("pizza"), "code_taken");
  assert.equal(await value(admin`select code from find_coupon(code => 'pizza')`), "PIZZA");
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
