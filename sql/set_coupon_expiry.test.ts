import assert from "node:assert/strict";
import { test } from "node:test";
import { plantGrants } from "../bench/harness/coupons.ts";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue, use, expire } = await testDatabase();

/** The outcome for an expiry that is counted from the database clock. */
const setExpiry = (coupon_id: number, ends_in: string) =>
  value(admin`select outcome from set_coupon_expiry(${coupon_id}, clock_timestamp() + ${ends_in}::interval)`);

async function held() {
  const [holder, lunch] = [await user(), await coupon()];
  assert.equal(await issue(holder, lunch), "issued");
  return { holder, lunch };
}

const differing = (coupon_id: number) =>
  value(owner`
    select count(*)::integer from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id
    where c.id = ${coupon_id} and c.expiry <> g.expiry`);

test("changed: longer, and the grants follow", async () => {
  const { holder, lunch } = await held();
  assert.equal(await setExpiry(lunch, "2 days"), "changed");
  const left = owner`select expiry > clock_timestamp() + interval '47 hours' from coupon.coupons where id = ${lunch}`;
  assert.equal(await value(left), true);
  assert.equal(await differing(lunch), 0);
  assert.equal(await use(holder, lunch, "r"), "used");
});

test("changed: shorter, and the grants follow", async () => {
  const { lunch } = await held();
  assert.equal(await setExpiry(lunch, "10 minutes"), "changed");
  const left = owner`select expiry < clock_timestamp() + interval '11 minutes' from coupon.coupons where id = ${lunch}`;
  assert.equal(await value(left), true);
  assert.equal(await differing(lunch), 0);
});

test("changed: what has ended goes on, for issuing and for using", async () => {
  const { holder, lunch } = await held();
  await expire(lunch);
  assert.equal(await setExpiry(lunch, "1 hour"), "changed");
  assert.equal(await use(holder, lunch, "r"), "used");
  assert.equal(await issue(await user(), lunch), "issued");
});

test("changed: of an upcoming coupon", async () => {
  assert.equal(await setExpiry(await upcoming(1), "5 days"), "changed");
});

test("changed, with a warning: less than a minute is left, or will be from its start on", async () => {
  const warned = (coupon_id: number, expiry: string) =>
    rows(admin`
      select o.outcome, o.warning
      from coupon.coupons c cross join lateral set_coupon_expiry(c.id, ${admin.unsafe(expiry)}) o where c.id = ${coupon_id}`);
  const lunch = await coupon();
  assert.deepEqual(await warned(lunch, "clock_timestamp() + interval '59 seconds'"), [
    ["changed", "short_lived"],
  ]);
  assert.deepEqual(await warned(lunch, "clock_timestamp() + interval '2 minutes'"), [["changed", null]]);
  const soon = await upcoming(3);
  assert.deepEqual(await warned(soon, "c.start_time + interval '1 second'"), [["changed", "short_lived"]]);
  assert.deepEqual(await warned(soon, "c.start_time + interval '1 minute'"), [["changed", null]]);
});

test("unchanged: also after it has passed", async () => {
  const lunch = await coupon();
  const again = () =>
    value(admin`
      select o.outcome
      from coupon.coupons c cross join lateral set_coupon_expiry(c.id, c.expiry) o where c.id = ${lunch}`);
  assert.equal(await again(), "unchanged");
  await expire(lunch);
  assert.equal(await again(), "unchanged");
});

test("not_after_start", async () => {
  const lunch = await upcoming(2);
  assert.equal(await setExpiry(lunch, "1 day"), "not_after_start");
  const atStart = admin`
    select o.outcome
    from coupon.coupons c cross join lateral set_coupon_expiry(c.id, c.start_time) o where c.id = ${lunch}`;
  assert.equal(await value(atStart), "not_after_start");
});

test("in_the_past: nothing changes", async () => {
  const { lunch } = await held();
  assert.equal(await setExpiry(lunch, "-1 microsecond"), "in_the_past");
  const lives = owner`select expiry > clock_timestamp() from coupon.coupons where id = ${lunch}`;
  assert.equal(await value(lives), true);
});

test("in_the_past: before a grant or a use that came before the clock was set back", async () => {
  const lunch = await coupon();
  const holder = await user();
  await plantGrants(owner, lunch, [holder], "local + interval '30 minutes'");
  assert.equal(await setExpiry(lunch, "20 minutes"), "in_the_past");
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user_coupons_check_use`;
    await sql`
      update coupon.user_coupons set used_date = issued_at + interval '30 minutes', use_reference = 'r'
      where coupon_id = ${lunch}`;
    await sql`alter table coupon.user_coupons enable trigger user_coupons_check_use`;
  });
  assert.equal(await setExpiry(lunch, "40 minutes"), "in_the_past");
  assert.equal(await setExpiry(lunch, "2 hours"), "changed");
});

test("coupon_not_found", async () => {
  assert.equal(await setExpiry(999_999, "1 day"), "coupon_not_found");
});

test("not_after_start before in_the_past", async () => {
  assert.equal(await setExpiry(await coupon(), "-1000 days"), "not_after_start");
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from set_coupon_expiry(null, now())`, "coupon_id", "22004");
  await refusesArgument(admin`select from set_coupon_expiry(1, null)`, "expiry", "22004");
  for (const expiry of ["1969-12-31 23:59:59Z", "9999-12-31 00:00Z", "infinity", "-infinity"])
    await refusesArgument(
      admin`select from set_coupon_expiry(1, ${expiry}::text::timestamptz)`,
      "expiry",
      "22023",
    );
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
