import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { inTime } from "../bench/harness/waiting.ts";

const { owner, admin, crowd, user, coupon, upcoming, issue } = await testDatabase({ time_zone: "UTC" });

const set = (coupon_id: number | null, group_name: string | null, eligible_from: string | null) =>
  admin`
    select outcome, warning
    from set_coupon_group(${coupon_id}, ${group_name}, ${eligible_from}::text::timestamptz)`;
/** The outcome for an early start that is counted from the start. */
const setBefore = (coupon_id: number, group_name: string, before: string) =>
  value(admin`
    select s.outcome from find_coupon(${coupon_id}) c,
      set_coupon_group(${coupon_id}, ${group_name}, c.start_time - ${before}::interval) s`);
const add = (group_name: string, ...user_ids: number[]) =>
  admin`select from add_to_group(${group_name}, ${user_ids}::bigint[])`;
const outcomes = async (coupon_id: number, user_ids: number[]) =>
  (await rows(admin`select outcome from issue_coupons(${coupon_id}, ${user_ids}::bigint[])`)).flat();

/** A coupon of the days to come, whose group may have it since an hour; its members, and strangers. */
let days = 100;
async function early(given: { count?: number } = {}) {
  days += 10;
  const id = await coupon({ ...given, from: `${days} days`, until: `${days + 1} days` });
  const [members, strangers] = [await crowd(5), await crowd(5)];
  await add(`group_${id}`, ...members);
  await owner`
    update coupon.coupons set eligible_group = ${`group_${id}`}, eligible_from = clock_timestamp() - interval '1 hour'
    where id = ${id}`;
  return { id, members, strangers };
}

test("changed: from eligible_from on its members may have it, and nobody else before start_time", async () => {
  const id = await upcoming(1);
  await add("vip", await user());
  assert.equal(await setBefore(id, "vip", "10 minutes"), "changed");
  assert.deepEqual(
    await rows(owner`
      select eligible_group, (start_time - eligible_from)::text from coupon.coupons where id = ${id}`),
    [["vip", "00:10:00"]],
  );
  assert.deepEqual(
    await rows(admin`
      select eligible_group, (start_time - eligible_from)::text, state from list_coupons() where coupon_id = ${id}`),
    [["vip", "00:10:00", "upcoming"]],
  );
  const offers = admin`
    select (start_time - eligible_from)::text from upcoming_coupons() where coupon_id = ${id}
    union all select (start_time - eligible_from)::text from find_coupon(${id})`;
  assert.deepEqual(await rows(offers), [["00:10:00"], ["00:10:00"]]);
  assert.equal(await setBefore(id, "vip", "20 minutes"), "changed");
  assert.deepEqual(await rows(set(id, null, null)), [["changed", null]]);
  assert.deepEqual(
    await rows(owner`select eligible_group, eligible_from from coupon.coupons where id = ${id}`),
    [[null, null]],
  );
});

test("unchanged: it is so already", async () => {
  const id = await upcoming(2);
  assert.deepEqual(await rows(set(id, null, null)), [["unchanged", null]]);
  await add("vip", await user());
  assert.equal(await setBefore(id, "vip", "10 minutes"), "changed");
  assert.equal(await setBefore(id, "vip", "10 minutes"), "unchanged");
  assert.equal(await setBefore(id, "VIP", "10 minutes"), "changed", "another group");
});

test("empty_group: said of a group without members, and not refused", async () => {
  const id = await upcoming(3);
  const set = (name: string) =>
    rows(admin`
      select s.* from find_coupon(${id}) c, set_coupon_group(${id}, ${name}, c.start_time - interval '1 hour') s`);
  assert.deepEqual(await set("nobody"), [["changed", "empty_group"]]);
  assert.deepEqual(await set("nobody"), [["unchanged", null]]);
  await add("somebody", await user());
  assert.deepEqual(await set("somebody"), [["changed", null]]);
});

test("coupon_not_found · already_started · in_the_past · not_before_start", async () => {
  const [live, id] = [await coupon(), await upcoming(5)];
  assert.deepEqual(await rows(set(999_999, "vip", "2030-01-01Z")), [["coupon_not_found", null]]);
  assert.deepEqual(await rows(set(live, "vip", "2030-01-01Z")), [["already_started", null]]);
  assert.deepEqual(await rows(set(id, "vip", "2020-01-01Z")), [["in_the_past", null]]);
  assert.equal(await setBefore(id, "vip", "0"), "not_before_start");
  assert.equal(await setBefore(id, "vip", "-1 microsecond"), "not_before_start");
  assert.equal(await setBefore(id, "vip", "1 microsecond"), "changed");
  const { id: begun } = await early();
  assert.deepEqual(await rows(set(begun, null, null)), [["already_started", null]], "for its group");
});

test("early: members get it in order of arrival, strangers are told not_started and when", async () => {
  const { id, members, strangers } = await early();
  const [a, b] = members as [number, number];
  const [x, y] = strangers as [number, number];
  const answers = admin`
    select outcome, user_id::integer, position, starts_in > interval '99 days' as starts
    from issue_coupons(${id}, ${[x, b, y, a, b, 999_999]}::bigint[])`;
  assert.deepEqual(await rows(answers), [
    ["not_started", x, null, true],
    ["issued", b, 1, null],
    ["not_started", y, null, true],
    ["issued", a, 2, null],
    ["already_issued", b, 1, null],
    ["not_started", 999_999, null, true],
  ]);
  assert.deepEqual(await outcomes(id, [y, a]), ["not_started", "already_issued"]);
  assert.deepEqual(await outcomes(id, [x, y]), ["not_started", "not_started"]);
  assert.deepEqual(
    await rows(
      owner`select user_id::integer from coupon.user_coupons where coupon_id = ${id} order by position`,
    ),
    [[b], [a]],
  );
});

test("early: one a day, paused and sold out are as ever for members; a stranger's is not_started first", async () => {
  const { id, members, strangers } = await early({ count: 2 });
  const [a, b, c, d] = members as [number, number, number, number];
  const [x] = strangers as [number];
  assert.equal(await issue(a, await coupon()), "issued");
  assert.deepEqual(await outcomes(id, [a, x]), ["daily_limit_reached", "not_started"]);
  assert.equal(await issue(b, id), "issued");
  await admin`select from pause_coupon(${id})`;
  assert.deepEqual(await outcomes(id, [c, x, b]), ["paused", "not_started", "already_issued"]);
  await admin`select from resume_coupon(${id})`;
  assert.deepEqual(await outcomes(id, [x, c, d]), ["not_started", "issued", "sold_out"]);
  assert.deepEqual(await outcomes(id, [x, d, a]), ["not_started", "sold_out", "sold_out"]);
  const told = admin`
    select sold_out_at is not null, time_to_sell_out > interval '1 hour', starts_in is null from issue_coupon(${d}, ${id})`;
  assert.deepEqual(await rows(told), [[true, true, true]]);
  for (const from of [`find_coupon(${id})`, `coupon_stats(${id})`])
    assert.equal(
      await value(
        admin.unsafe(`select time_to_sell_out between '1 hour' and '1 hour 10 minutes' from ${from}`),
      ),
      true,
      `${from} counts from the group's start`,
    );
});

test("early: who is taken out of the group keeps what was issued, and gets no more", async () => {
  const { id, members } = await early();
  const [a, b] = members as [number, number];
  assert.equal(await issue(a, id), "issued");
  await admin`select from remove_from_group(${`group_${id}`}, ${[a, b]}::bigint[])`;
  assert.deepEqual(await outcomes(id, [a, b]), ["already_issued", "not_started"]);
});

test("before eligible_from nobody, from start_time on everybody", async () => {
  const id = await upcoming(7);
  const [member, stranger] = await crowd(2);
  await add("vip7", member as number);
  assert.equal(await setBefore(id, "vip7", "1 hour"), "changed");
  assert.deepEqual(await outcomes(id, [member as number, stranger as number]), [
    "not_started",
    "not_started",
  ]);
  await owner`
    update coupon.coupons set eligible_from = clock_timestamp() - interval '401 days', start_time = clock_timestamp() - interval '400 days'
    where id = ${id}`;
  assert.deepEqual(await outcomes(id, [stranger as number, member as number]), ["issued", "issued"]);
});

test("at the instants: members from eligible_from on, strangers from start_time on, neither a microsecond before", async () => {
  for (const column of ["eligible_from", "start_time"] as const)
    await inTime(async (ms) => {
      const { id, members, strangers } = await early();
      const [who, other] = column === "eligible_from" ? [members, strangers] : [strangers, members];
      await owner`
        update coupon.coupons set ${owner(column)} = clock_timestamp() + ${ms} * interval '1 ms' where id = ${id}`;
      let refused = 0;
      for (;;) {
        const [answer] = await rows(admin`
          select outcome, issued_at >= (select ${owner(column)} from coupon.coupons where id = ${id})
          from issue_coupon(${who[0] as number}, ${id})`);
        if (answer?.[0] === "issued") {
          assert.equal(answer[1], true);
          break;
        }
        assert.equal(answer?.[0], "not_started");
        refused += 1;
      }
      assert.deepEqual(await outcomes(id, [other[0] as number]), [
        column === "eligible_from" ? "not_started" : "issued",
      ]);
      return refused > 0 ? true : undefined;
    });
});

test("set_coupon_start, edit_coupon and withdraw_coupon of a coupon with a group", async () => {
  const id = await upcoming(9);
  await add("vip", await user());
  assert.equal(await setBefore(id, "vip", "1 hour"), "changed");
  const move = (by: string) =>
    value(admin`
      select s.outcome from find_coupon(${id}) c, set_coupon_start(${id}, c.start_time + ${by}::interval) s`);
  assert.equal(await move("-1 hour"), "not_after_eligible_from");
  assert.equal(await move("-59 minutes"), "changed");
  assert.equal(await move("30 minutes"), "changed");
  const { id: begun, members } = await early();
  const later = () =>
    value(admin`
      select s.outcome from find_coupon(${begun}) c, set_coupon_start(${begun}, c.start_time + interval '1 hour') s`);
  assert.equal(await later(), "already_started");
  assert.equal(
    await value(admin`select outcome from edit_coupon(${begun}, code => 'LATE')`),
    "already_started",
  );
  assert.equal(await value(admin`select outcome from edit_coupon(${begun}, message => 'm')`), "changed");
  assert.equal(await issue(members[0] as number, begun), "issued");
  assert.equal(await value(admin`select outcome from withdraw_coupon(${begun})`), "has_grants");
  const { id: unwanted } = await early();
  assert.equal(await value(admin`select outcome from withdraw_coupon(${unwanted})`), "withdrawn");
  assert.equal(
    await value(owner`
      select old_values->>'eligible_group' from coupon.audit
      where coupon_id = ${unwanted} and command = 'withdraw_coupon'`),
    `group_${unwanted}`,
  );
});

test("the audit tells who, what and why", async () => {
  const id = await upcoming(11);
  await admin`
    select from set_coupon_group(${id}, 'vip', clock_timestamp() + interval '1 hour', 'loyal guests', 'admin:ops')`;
  const audit = owner`
    select command, actor, reason, old_values, new_values->>'eligible_group', new_values ? 'eligible_from'
    from coupon.audit where coupon_id = ${id} and command = 'set_coupon_group'`;
  assert.deepEqual(await rows(audit), [
    [
      "set_coupon_group",
      "admin:ops",
      "loyal guests",
      { eligible_from: null, eligible_group: null },
      "vip",
      true,
    ],
  ]);
});

test("refuses bad arguments", async () => {
  await refusesArgument(set(null, "vip", "2030-01-01Z"), "coupon_id", "22004");
  await refusesArgument(set(1, null, "2030-01-01Z"), "group_name", "22004");
  await refusesArgument(set(1, "vip", null), "eligible_from", "22004");
  for (const name of ["", "a b", "é", "a".repeat(65)])
    await refusesArgument(set(1, name, "2030-01-01Z"), "group_name", "22023");
  for (const from of ["1969-12-31 23:59:59Z", "9999-12-31 00:00Z", "infinity", "-infinity"])
    await refusesArgument(set(1, "vip", from), "eligible_from", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
