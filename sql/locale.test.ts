/** Databases whose locale is Turkish, where lower('PIZZA') is not 'pizza', and "C", which knows no letters but ASCII's. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { rows, value } from "../bench/harness/rows.ts";
import { dropDatabase } from "../bench/harness/scratch.ts";
import { connect, withConnection } from "../db/connect.ts";
import { setUp } from "../db/setup.ts";
import { targetOf } from "../db/target.ts";

const TURKISH = "locale_provider icu icu_locale 'tr-TR' locale 'C'";
const C = "locale_provider libc locale 'C'";

async function newDatabase(t: TestContext, locale: string) {
  const server = process.env["SCRATCH_SERVER_URL"] ?? "";
  const name = `coupon_locale_${randomBytes(6).toString("hex")}`;
  await withConnection(server, (sql) =>
    sql.unsafe(`create database ${name} template template0 encoding 'UTF8' ${locale}`),
  );
  const target = targetOf(server).on(name);
  const [owner, admin] = [connect(target, { role: "coupon_owner" }), connect(target.as("coupon_admin"))];
  t.after(async () => {
    await Promise.all([owner.end(), admin.end()]);
    await withConnection(server, (sql) => dropDatabase(sql, name));
  });
  await setUp(target);
  return { owner, admin };
}

test("a code is one whatever its case, and is found, whatever the database's locale", async (t) => {
  const { admin } = await newDatabase(t, TURKISH);
  assert.notEqual(await value(admin`select lower('PIZZA')`), "pizza");
  const create = (code: string) =>
    value(admin`select outcome from create_coupon(${code}, 'm', '', now(), now() + interval '1 day', 10)`);
  assert.equal(await create("PIZZA"), "created");
  assert.equal(await create("pizza"), "code_taken");
  assert.equal(await value(admin`select code from find_coupon(code => 'pizza')`), "PIZZA");
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

for (const [language, locale] of Object.entries({ Turkish: TURKISH, C }))
  test(`who is forgotten is found in either case, and no zone is the server's: ${language}`, async (t) => {
    const { owner, admin } = await newDatabase(t, locale);
    assert.equal(await value(owner`select lower('ÄRGERI')`), language === "C" ? "Ärgeri" : "ärgerı");
    for (const [name, text] of [
      ["Iris", "IRIS"],
      ["IRIS", "iris"],
      ["İnci", "INCI"],
      ["ırmak", "Irmak"],
      ["Ärger", "ÄRGER"],
      ["NUÑO", "nuño"],
      ["Zoë", "ZOË"],
    ] as const)
      assert.deepEqual(
        await rows(owner`
          select coupon.words_of(${text}) @> coupon.words_of(${name}), coupon.take_out(${name}, ${text}),
            coupon.take_out(${name}, ${`${text}ë`})`),
        [[true, "(forgotten)", `${text}ë`]],
        name,
      );
    for (const zone of ["LOCALTIME", "posixrules", "POSIXRULES"])
      await assert.rejects(
        async () => await owner`update coupon.settings set time_zone = ${zone}`,
        { constraint_name: "settings_time_zone_is_known" },
        zone,
      );
    assert.deepEqual(await rows(admin`select * from reconcile()`), []);
  });
