import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, today, user, crowd, coupon, issue, use, grantedBefore } = await testDatabase();

const fold = (at_most = 5000) => value(admin`select fold_grants(${at_most})`);
const wallet = async (user_id: number, before: string | null = null, page_size = 50) =>
  (
    await rows(admin`
      select ${today} - issued_on from wallet(${user_id}, ${before}::text::date, ${page_size})`)
  ).flat();
const broken = () => rows(admin`select invariant, coupon_id::integer, user_id::integer from reconcile()`);

/** Nothing is folded. */
beforeEach(async () => {
  await owner.begin(async (sql) => {
    await sql`update coupon.folded set issued_on = default, user_id = default`;
  });
});

const ages = [0, 1, 2, 31, 32, 33, 34, 40, 400, 3650];
const [ann, ben, cid] = (await crowd(3)) as [number, number, number];
for (const age of ages) {
  const lunch = await coupon({ from: `-${4000 + age} days` });
  for (const holder of age % 2 === 0 ? [ann, ben] : [ann, cid]) await grantedBefore(age, holder, lunch);
}
const even = ages.filter((age) => age % 2 === 0);
const odd = ages.filter((age) => age % 2 === 1);

test("only grants that were made 33 days ago and before are copied", async () => {
  assert.equal(await fold(), 10);
  assert.equal(await fold(), 0);
  assert.deepEqual(
    (await rows(owner`select distinct ${today} - issued_on from coupon.past_grants order by 1`)).flat(),
    [33, 34, 40, 400, 3650],
  );
  assert.deepEqual(await broken(), []);
});

test("a wallet is the same whatever was copied, and so are its pages", async () => {
  for (let folded = 0; ; folded++) {
    assert.deepEqual(await wallet(ann), ages);
    assert.deepEqual(await wallet(ben), even);
    assert.deepEqual(await wallet(cid), odd);
    for (const size of [1, 3]) {
      const seen: unknown[] = [];
      for (let before: string | null = null; ; ) {
        const page: unknown[] = await wallet(ann, before, size);
        if (page.length === 0) break;
        seen.push(...page);
        before = (await value(admin`select (${today} - ${page.at(-1) as number}::integer)::text`)) as string;
      }
      assert.deepEqual(seen, ages);
    }
    assert.deepEqual(await broken(), []);
    if ((await fold(1)) === 0) {
      assert.equal(folded, 10);
      break;
    }
  }
});

test("a use of a copied grant is told", async () => {
  await fold();
  const [[id]] = (await rows(owner`
    select coupon_id::integer from coupon.past_grants where user_id = ${cid} order by issued_on limit 1`)) as [
    [number],
  ];
  assert.equal(await use(cid, id, "order 1"), "used");
  assert.deepEqual(await rows(admin`select use_reference from wallet(${cid}) where coupon_id = ${id}`), [
    ["order 1"],
  ]);
});

test("one at a time, and nobody who issues waits", async () => {
  const session = await owner.reserve();
  await session`begin`;
  await session`select from fold_grants(2)`;
  assert.equal(await fold(), 0);
  assert.equal(await issue(await user(), await coupon()), "issued");
  assert.deepEqual(await wallet(ann), ages);
  await session`commit`;
  session.release();
  assert.equal(await fold(), 8);
});

test("a day that was copied by a wrong clock and gets a grant is not over", async () => {
  const [[zone_day]] = (await rows(owner`select ${today}`)) as [[string]];
  await owner`update coupon.folded set issued_on = ${zone_day}::date + 3, user_id = ${cid}`;
  const dan = await user();
  assert.equal(await issue(dan, await coupon()), "issued");
  assert.equal(await fold(), 0);
  assert.deepEqual(await wallet(dan), [0]);
  assert.deepEqual(await wallet(ann), ages);
  assert.equal(await fold(), 0);
  assert.deepEqual(await broken(), []);
});

test("reconcile() names a copy that is missing, and one that is no grant", async () => {
  await fold();
  const [[id]] = (await rows(
    owner`select coupon_id::integer from coupon.past_grants where user_id = ${ben} limit 1`,
  )) as [[number]];
  await owner`delete from coupon.past_grants where user_id = ${ben} and coupon_id = ${id}`;
  assert.deepEqual(await broken(), [["past_grants_are_grants", id, ben]]);
  await owner`insert into coupon.past_grants select ${ben}, issued_on, coupon_id from coupon.past_grants
    where user_id = ${ann} and coupon_id = ${id}`;
  await owner`insert into coupon.past_grants values (${ben}, '2001-01-01', ${id})`;
  assert.deepEqual(await broken(), [["past_grants_are_grants", id, ben]]);
});

test("refuses bad arguments", async () => {
  for (const at_most of [null, 0, 100_001])
    await refusesArgument(admin`select fold_grants(${at_most}::integer)`, "at_most", "22023");
});
