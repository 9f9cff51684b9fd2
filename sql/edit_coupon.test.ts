import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";

const { owner, admin, watch, user, coupon, upcoming, issue, expire } = await testDatabase();

interface Texts {
  code?: string;
  message?: string;
  description?: string;
  metadata?: string;
}

const edit = (coupon_id: number | null, { code, message, description, metadata }: Texts, sql = admin) => sql`
  select outcome, taken_by::integer
  from edit_coupon(${coupon_id}, ${code ?? null}, ${message ?? null}, ${description ?? null},
    ${metadata ?? null}::text::jsonb)`;
const texts = async (coupon_id: number) =>
  (
    await rows(owner`select code, message, description, metadata from coupon.coupons where id = ${coupon_id}`)
  )[0];
const codeOf = async (coupon_id: number) => String((await texts(coupon_id))?.[0]);

test("changed: all four before the start, and what isn't given stays", async () => {
  const lunch = await upcoming(1);
  const given = { code: "PIZZA", message: "Free pizza", description: "", metadata: `{"a": 1}` };
  assert.deepEqual(await rows(edit(lunch, given)), [["changed", null]]);
  assert.deepEqual(await texts(lunch), ["PIZZA", "Free pizza", "", { a: 1 }]);
  assert.equal(await value(edit(lunch, { message: "Pizza" })), "changed");
  assert.deepEqual(await texts(lunch), ["PIZZA", "Pizza", "", { a: 1 }]);
  assert.equal(await value(admin`select coupon_id::integer from find_coupon(code => 'pizza')`), lunch);
});

test("changed: the old code is free, and the new one is taken", async () => {
  const [lunch, other] = [await upcoming(2), await upcoming(3)];
  const old = await codeOf(lunch);
  assert.equal(await value(edit(lunch, { code: "SOUP" })), "changed");
  assert.deepEqual(await rows(edit(other, { code: "soup" })), [["code_taken", lunch]]);
  assert.equal(await value(edit(other, { code: old })), "changed");
});

test("changed: the same code in another case", async () => {
  const lunch = await upcoming(4);
  const code = (await codeOf(lunch)).toLowerCase();
  assert.equal(await value(edit(lunch, { code })), "changed");
  assert.equal(await codeOf(lunch), code);
});

test("changed: texts and metadata after the start, of what is issued and of what has ended", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  const code = await codeOf(lunch);
  assert.equal(await value(edit(lunch, { code, message: "Soup" })), "changed");
  assert.equal(await value(admin`select message from wallet(${holder})`), "Soup");
  await expire(lunch);
  assert.equal(await value(edit(lunch, { description: "It was soup", metadata: "{}" })), "changed");
  assert.deepEqual(await texts(lunch), [code, "Soup", "It was soup", {}]);
});

test("unchanged: the same again, after the start too, and nothing at all", async () => {
  const lunch = await upcoming(5);
  const given = { code: "STEW", message: "m", description: "d", metadata: `{"a": 1, "b": 2}` };
  assert.equal(await value(edit(lunch, given)), "changed");
  assert.equal(await value(edit(lunch, { ...given, metadata: `{"b": 2.0, "a": 1}` })), "unchanged");
  await owner`update coupon.coupons set start_time = clock_timestamp() where id = ${lunch}`;
  assert.equal(await value(edit(lunch, given)), "unchanged");
  assert.equal(await value(edit(lunch, {})), "unchanged");
});

test("already_started: another code, and nothing else of it is changed", async () => {
  const lunch = await coupon();
  const before = await texts(lunch);
  assert.deepEqual(await rows(edit(lunch, { code: "LATE", message: "Late" })), [["already_started", null]]);
  assert.equal(await value(edit(lunch, { code: String(before?.[0]).toLowerCase() })), "already_started");
  assert.deepEqual(await texts(lunch), before);
});

test("code_taken: by which coupon, and nothing else is changed", async () => {
  const [lunch, other] = [await upcoming(6), await coupon()];
  const before = await texts(lunch);
  const code = (await codeOf(other)).toLowerCase();
  assert.deepEqual(await rows(edit(lunch, { code, message: "Soup" })), [["code_taken", other]]);
  assert.deepEqual(await texts(lunch), before);
});

test("already_started before code_taken", async () => {
  const [lunch, other] = [await coupon(), await coupon()];
  assert.deepEqual(await rows(edit(lunch, { code: await codeOf(other) })), [["already_started", null]]);
});

test("coupon_not_found", async () => {
  assert.deepEqual(await rows(edit(999_999, { message: "m" })), [["coupon_not_found", null]]);
});

test("a late retry of create_coupon is already_created after an edit of texts, and after one of the code as well", async () => {
  const again = (code: string, message: string) =>
    value(
      admin`select outcome from create_coupon(${code}, ${message}, 'd', '2035-01-01Z', '2036-01-01Z', 3)`,
    );
  assert.equal(await again("FIRST", "m"), "created");
  const lunch = Number(await value(admin`select coupon_id from find_coupon(code => 'FIRST')`));
  await edit(lunch, { message: "n" });
  assert.equal(await again("FIRST", "m"), "already_created");
  assert.equal(await again("FIRST", "n"), "already_created");
  await edit(lunch, { code: "SECOND" });
  assert.equal(await again("SECOND", "n"), "already_created");
  assert.equal(await again("FIRST", "m"), "already_created");
});

test("a coupon is edited while its grants and those of others wait for nobody's lock of issuing", async () => {
  const lunch = await upcoming(7);
  await owner.begin(async (sql) => {
    await sql`lock table coupon.issuing in exclusive mode`;
    assert.equal(await value(edit(lunch, { message: "meanwhile" })), "changed");
  });
});

test("two that want one code: the second waits, and is told", async () => {
  const [one, two] = [await upcoming(8), await upcoming(9)];
  let second: Promise<unknown> | undefined;
  await admin.begin(async (sql) => {
    assert.equal(await value(edit(one, { code: "BOTH" }, sql as unknown as typeof admin)), "changed");
    second = rows(edit(two, { code: "both" }));
    await waiting(watch);
  });
  assert.deepEqual(await second, [["code_taken", one]]);
});

test("refuses bad arguments", async () => {
  await refusesArgument(edit(null, {}), "coupon_id", "22004");
  for (const [argument, given] of [
    ["code", { code: "" }],
    ["code", { code: "a b" }],
    ["code", { code: "x".repeat(65) }],
    ["message", { message: "" }],
    ["message", { message: "m".repeat(201) }],
    ["description", { description: "d".repeat(2001) }],
    ["metadata", { metadata: "[]" }],
    ["metadata", { metadata: "null" }],
    ["metadata", { metadata: `{"a": "${"x".repeat(4096)}"}` }],
    ["metadata", { metadata: `{"a": [[[[[1]]]]]}` }],
  ] as const)
    await refusesArgument(edit(1, given), argument, "22023");
  await refusesArgument(admin`select from edit_coupon(1, reason => '')`, "reason", "22023");
  await refusesArgument(admin`select from edit_coupon(1, actor => '')`, "actor", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
