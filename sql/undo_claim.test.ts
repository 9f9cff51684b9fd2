import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin, user, coupon, issue, use } = await testDatabase();

/** A user, the coupon it holds, and the code of that. */
async function held() {
  const [holder, lunch] = [await user(), await coupon()];
  assert.equal(await issue(holder, lunch), "issued");
  const claim_code = (await value(admin`select claim_code from wallet(${holder})`)) as string;
  return { holder, lunch, claim_code };
}

const useBy = (claim_code: string, actor: string, reference = "r") =>
  value(admin`select outcome from use_claim(${claim_code}, ${reference}, ${actor})`);
const undo = (claim_code: string, actor: string | null = null, only_own = false) =>
  rows(admin`
    select outcome, use_reference, coupon_id::integer, position, user_id::integer, display_name
    from undo_claim(${claim_code}, 'mistake', ${actor}::text, ${only_own})`);

test("restored: tells the use that was, and whose, leaves a trace, and the code can be used again", async () => {
  const { holder, lunch, claim_code } = await held();
  await useBy(claim_code, "till:1", "order 1");
  assert.deepEqual(await undo(claim_code.toLowerCase(), "till:1", true), [
    ["restored", "order 1", lunch, 1, holder, `User ${holder}`],
  ]);
  assert.deepEqual(
    await rows(admin`
      select command, reason, actor from audit_trail(coupon_id => ${lunch}, user_id => ${holder})`),
    [
      ["undo_use", "mistake", "till:1"],
      ["use_coupon", null, "till:1"],
    ],
  );
  assert.equal(await useBy(claim_code, "till:2", "order 2"), "used");
});

test("restored: whoever may take back any", async () => {
  const { claim_code } = await held();
  await useBy(claim_code, "till:1");
  assert.equal((await undo(claim_code))[0]?.[0], "restored");
});

test("used_by_another: a use of another till, of nobody, and of an earlier one's own that was taken back", async () => {
  const { holder, lunch, claim_code } = await held();
  await useBy(claim_code, "till:1");
  assert.deepEqual(await undo(claim_code, "till:2", true), [
    ["used_by_another", null, lunch, 1, holder, `User ${holder}`],
  ]);
  assert.equal((await undo(claim_code, "till:1", true))[0]?.[0], "restored");
  await use(holder, lunch, "r");
  assert.equal((await undo(claim_code, "till:1", true))[0]?.[0], "used_by_another");
});

test("undo_use: used_by_another, the same way", async () => {
  const { holder, lunch, claim_code } = await held();
  await useBy(claim_code, "service:shop");
  const undoUse = (actor: string) =>
    rows(admin`
      select outcome, used_date, use_reference
      from undo_use(${holder}, ${lunch}, 'mistake', ${actor}, only_own => true)`);
  assert.deepEqual(await undoUse("service:other"), [["used_by_another", null, null]]);
  assert.equal((await undoUse("service:shop"))[0]?.[0], "restored");
  assert.equal((await undoUse("service:other"))[0]?.[0], "not_used");
});

test("not_used: never, or not any more", async () => {
  const { holder, lunch, claim_code } = await held();
  const notUsed = [["not_used", null, lunch, 1, holder, `User ${holder}`]];
  assert.deepEqual(await undo(claim_code, "till:1", true), notUsed);
  await useBy(claim_code, "till:1");
  await undo(claim_code);
  assert.deepEqual(await undo(claim_code), notUsed);
});

test("not_used: a till's repeated undo of a use leaves its next use alone", async () => {
  const { holder, lunch, claim_code } = await held();
  const [[, first] = []] = await rows(admin`
    select outcome, used_date::text from use_claim(${claim_code}, 'r', 'till:1')`);
  const undoThat = (actor: string) =>
    rows(admin`
      select outcome, used_date, user_id::integer
      from undo_claim(${claim_code}, 'mistake', ${actor}, true, ${first as string}::text::timestamptz)`);
  assert.equal((await undoThat("till:1"))[0]?.[0], "restored");
  assert.equal(await useBy(claim_code, "till:1"), "used");
  for (const till of ["till:1", "till:2"])
    assert.deepEqual(await undoThat(till), [["not_used", null, holder]], till);
  assert.equal(await value(admin`select used from coupon_stats(${lunch})`), "1");
});

test("claim_not_found", async () => {
  for (const wrong of ["no code", "000000000000", "-"])
    assert.deepEqual(await undo(wrong), [["claim_not_found", null, null, null, null, null]]);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from undo_claim(null, 'r')`, "claim_code", "22004");
  await refusesArgument(admin`select from undo_claim('', 'r')`, "claim_code", "22023");
  await refusesArgument(admin`select from undo_claim(repeat('c', 201), 'r')`, "claim_code", "22023");
  await refusesArgument(admin`select from undo_claim('c', null)`, "reason", "22004");
  await refusesArgument(admin`select from undo_claim('c', '')`, "reason", "22023");
  await refusesArgument(admin`select from undo_claim('c', 'r', '')`, "actor", "22023");
  await refusesArgument(admin`select from undo_claim('c', 'r', null, true)`, "actor", "22004");
  await refusesArgument(admin`select from undo_claim('c', 'r', 'a', null)`, "only_own", "22004");
  await refusesArgument(admin`select from undo_use(1, 1, 'r', null, true)`, "actor", "22004");
  await refusesArgument(admin`select from undo_use(1, 1, 'r', 'a', null)`, "only_own", "22004");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
