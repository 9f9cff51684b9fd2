import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, issue } = await testDatabase({ time_zone: "UTC" });
const setZone = (name: string) => value(admin`select outcome from set_time_zone(${name})`);

/** A coupon of a fixed instant. */
const create = (code: string, start_time: string, count: number) =>
  value(admin`
    select outcome
    from create_coupon(${code}, 'm', 'd', ${start_time}::text::timestamptz, '2100-01-01', ${count})`);

const days = () =>
  rows(
    owner`select code, live_on::text, slot from coupon.coupons where start_time > '2030-01-01' order by start_time`,
  );

beforeEach(async () => {
  await owner`delete from coupon.coupons where issued = 0`;
  await owner`update coupon.settings set time_zone = 'UTC'`;
});

test("changed: coupons move to their day in the new zone, and back", async () => {
  await create("EVENING", "2031-01-01 20:00Z", 1);
  await create("MORNING", "2031-01-03 06:00Z", 1);
  assert.equal(await setZone("Asia/Tokyo"), "changed");
  assert.deepEqual(await days(), [
    ["EVENING", "2031-01-02", 1],
    ["MORNING", "2031-01-03", 1],
  ]);
  assert.equal(await setZone("UTC"), "changed");
  assert.deepEqual(await days(), [
    ["EVENING", "2031-01-01", 1],
    ["MORNING", "2031-01-03", 1],
  ]);
});

test("changed: a coupon that takes the place which another leaves is not in its way", async () => {
  for (const day of [1, 2, 3]) assert.equal(await create(`D${day}`, `2031-01-0${day} 20:00Z`, 10), "created");
  assert.equal(await setZone("Asia/Tokyo"), "changed");
  assert.deepEqual(await days(), [
    ["D1", "2031-01-02", 1],
    ["D2", "2031-01-03", 1],
    ["D3", "2031-01-04", 1],
  ]);
  assert.equal(await setZone("America/Los_Angeles"), "changed");
});

test("changed: new coupons get their day from it", async () => {
  await setZone("Pacific/Kiritimati");
  assert.equal(await create("LATE", "2031-01-01 10:00Z", 1), "created");
  assert.deepEqual(await days(), [["LATE", "2031-01-02", 1]]);
});

test("changed: grants keep their day, and the next one counts in the new zone", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  // At any instant one of these two zones is on another day than UTC.
  for (const zone of ["Etc/GMT+12", "Etc/GMT-14"]) {
    assert.equal(await setZone(zone), "changed");
    const today = await value(admin`
      select (clock_timestamp() at time zone ${zone})::date = (clock_timestamp() at time zone 'UTC')::date`);
    assert.equal(await issue(holder, await coupon()), today ? "daily_limit_reached" : "issued");
  }
  const kept = owner`select issued_on = (issued_at at time zone 'UTC')::date from coupon.user_coupons
    where (user_id, coupon_id) = (${holder}, ${lunch})`;
  assert.equal(await value(kept), true);
});

test("unchanged", async () => {
  assert.equal(await setZone("UTC"), "unchanged");
});

for (const [what, count] of [
  ["slot", 2],
  ["count", 1],
] as const) {
  test(`breaks_daily_offer: two days of one ${what} would be one, and nothing changes`, async () => {
    if (what === "count") await create("FIRST", "2031-01-02 05:00Z", 9);
    await create("A", "2031-01-01 20:00Z", 1);
    await create("B", "2031-01-02 06:00Z", count);
    const before = await days();
    assert.equal(await setZone("Asia/Tokyo"), "breaks_daily_offer");
    assert.deepEqual(await days(), before);
    assert.equal(await value(owner`select time_zone from coupon.settings`), "UTC");
  });
}

test("unchanged before breaks_daily_offer: the zone that is set breaks nothing", async () => {
  await create("A", "2031-01-01 20:00Z", 1);
  await create("B", "2031-01-02 06:00Z", 1);
  assert.equal(await setZone("UTC"), "unchanged");
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from set_time_zone(null)`, "time_zone", "22004");
  for (const zone of ["", "Mars/Olympus", "utc+3", "<+03>-3"])
    await refusesArgument(admin`select from set_time_zone(${zone})`, "time_zone", "22023");
});
