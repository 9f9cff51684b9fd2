/**
 * The seven rules (design, section 1), attacked by the owner of the tables with plain statements, and each one switched
 * off once, so that the damage is seen to happen and to be found.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";

const {
  owner,
  admin,
  time_zone,
  westOfIt,
  offset,
  coupon,
  crowd,
  upcoming,
  issue,
  use,
  expire,
  grantedBefore,
} = await testDatabase();

// Users 1 to 9. Nobody but 1, 2, 8 and 9 holds anything.
await crowd(9);
const [live, other, soldOut, soon, ended, fresh, old] = [
  await coupon({ count: 5 }),
  await coupon({ count: 6 }),
  await coupon({ count: 1 }),
  await upcoming(1),
  await coupon(),
  await coupon({ count: 7 }),
  await coupon({ from: "-70 days" }),
];
// Early: for user 3, and for nobody else; and before that, for nobody.
const [early, soonEarly] = [
  await coupon({ from: "2 days", until: "3 days" }),
  await coupon({ from: "4 days", until: "5 days" }),
];
await admin`select from add_to_group('vip', '{3}')`;
await owner`update coupon.coupons set eligible_group = 'vip', eligible_from = clock_timestamp() - interval '1 hour' where id = ${early}`;
await owner`update coupon.coupons set eligible_group = 'vip', eligible_from = clock_timestamp() + interval '1 day' where id = ${soonEarly}`;
// Over since a month, with two grants.
const bygone = await coupon({ from: "-100 days", count: 9 });
const used = 2;
for (const [user_id, coupon_id] of [
  [1, live],
  [used, live],
  [8, soldOut],
  [9, ended],
] as const)
  assert.equal(await issue(user_id, coupon_id), "issued");
assert.equal(await use(used, live, "order"), "used");
await grantedBefore(3, 1, old);
await grantedBefore(60, 1, bygone);
await grantedBefore(60, 2, bygone);
await owner`update coupon.coupons set expiry = clock_timestamp() - interval '50 days' where id = ${bygone}`;
await expire(ended);
// A day that is full, in an order other than that of the slots.
await admin`
  select c.* from (values ('X', 1, 11), ('Y', 2, 12), ('Z', 3, 13)) v (code, hour, count), create_coupon(v.code, 'm', 'd',
    ${`2059-01-01 00:00${offset}`}::text::timestamptz + v.hour * interval '1 hour', '2060-01-01', v.count) c`;
await admin`select from create_coupon('ALONE', 'm', 'd', ${`2059-01-02 00:30${offset}`}::text::timestamptz, '2060-01-01', 11)`;

await admin`select from create_coupon('MOVES', 'm', 'd', ${`2059-01-03 00:30${offset}`}::text::timestamptz, '2060-01-01', 15)`;

/** An insert of a grant that is right in all that isn't given. */
function grant(given: {
  user?: number;
  coupon: number;
  position: number | string;
  at?: string;
  on?: string;
  expiry?: string;
  used?: string;
}) {
  const {
    user = 3,
    coupon,
    position,
    at = "clock_timestamp()",
    on = "(t.at at time zone c.time_zone)::date",
    expiry = "c.expiry",
    used = "null",
  } = given;
  return `insert into coupon.user_coupons
      (user_id, coupon_id, issued_at, expiry, issued_on, position, used_date, use_reference)
    select ${user}, c.id, t.at, ${expiry}, ${on}, ${position}, ${used}, case when ${used} is not null then 'r' end
    from coupon.coupons c, lateral (select ${at} offset 0) t (at)
    where c.id = ${coupon}`;
}
/** An insert of a coupon that is right in all that isn't given, on the day after the full one. */
function offer(
  given: { code?: string; start?: string; slot?: string; count?: string; more?: [string, string] } = {},
) {
  const {
    code = "NEW",
    start = `2059-01-02 04:00${offset}`,
    slot = "2",
    count = "14",
    more = ["issued", "0"],
  } = given;
  return `insert into coupon.coupons
      (code, message, description, start_time, expiry, time_zone, slot, count, ${more[0]})
    values ('${code}', 'm', 'd', '${start}', '2060-01-01', '${time_zone}', ${slot}, ${count}, ${more[1]})`;
}
/** An insert of grants to users 3 and 4, with SQL in n (0 and 1) for what isn't right. */
const twoGrants = (given: { coupon?: number; position?: string; at?: string; on?: string }) => {
  const { coupon = live, position = "3 + n", at = "statement_timestamp()", on = "0" } = given;
  return `insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select 3 + n, c.id, ${at}, c.expiry, (statement_timestamp() at time zone c.time_zone)::date - ${on}, ${position}
    from coupon.coupons c, generate_series(0, 1) n
    where c.id = ${coupon}`;
};
const issued = (coupon_id: number, count: number | string) =>
  `update coupon.coupons set issued = ${count} where id = ${coupon_id}`;
const change = (set: string, user_id: number, coupon_id: number = live) =>
  `update coupon.user_coupons set ${set} where (user_id, coupon_id) = (${user_id}, ${coupon_id})`;
const changeCoupon = (set: string, coupon_id: number = live) =>
  `update coupon.coupons set ${set} where id = ${coupon_id}`;
const useNow = "used_date = clock_timestamp(), use_reference = 'r'";
const unuse = change("used_date = null, use_reference = null", used);
/** An insert of the trace of an undo that is right in all that isn't given. */
const trace = (
  given: { user?: number; used_date?: string; reference?: string; more?: [string, string] } = {},
) => {
  const {
    user = used,
    used_date = "used_date",
    reference = "use_reference",
    more = ["reason", "'why'"],
  } = given;
  return `insert into coupon.audit (command, user_id, coupon_id, used_date, old_values, ${more[0]})
    select 'undo_use', user_id, coupon_id, ${used_date}, jsonb_build_object('use_reference', ${reference}), ${more[1]}
    from coupon.user_coupons where (user_id, coupon_id) = (${user}, ${live})`;
};
/** An insert into the log of events. */
const event = (number: number, columns: string, values: string) =>
  `insert into coupon.events (number, gathered_at, coupon_id, ${columns}) values (${number}, now(), 1, ${values})`;
const GRANTS = "first_position, last_position, sold_out";
/** An insert into the audit of what was done to a coupon. */
const note = (command: string, new_values: string, more: [string, string] = ["reason", "'why'"]) =>
  `insert into coupon.audit (command, coupon_id, new_values, ${more[0]})
    values ('${command}', ${live}, '${new_values}', ${more[1]})`;

const disable = (table: string, trigger: string) => `alter table coupon.${table} disable trigger ${trigger}`;
/** A retirement by hand of the coupon that is over, up to its grants. */
const retired = (grants_left = "issued", coupon_id = bygone) =>
  `insert into coupon.retired_coupons (coupon_id, code, start_time, expiry, live_on, count, issued, asked, sold_out_at, grants_left)
    select id, code, start_time, expiry, live_on, count, issued, issued, sold_out_at, ${grants_left} from coupon.coupons
    where id = ${coupon_id}`;
const gone = [retired(), `delete from coupon.coupons where id = ${bygone}`];
const leave = (grants: number) =>
  `update coupon.retired_coupons set grants_left = ${grants} where coupon_id = ${bygone}`;
const summed = (issued: number) =>
  `insert into coupon.retired_grants values (current_date - 60, ${bygone}, ${issued}, 0, now(), now())`;
const forget = (user_id: number) => `select from forget_user(${user_id})`;

/** Runs statements one by one in one transaction, to its commit. */
const commit = (...statements: string[]) =>
  owner.begin(async (sql) => {
    for (const statement of statements) await sql.unsafe(statement);
  });

/** What the attack is, its statements, and the constraint that must refuse it (or a SQLSTATE that names none). */
type Attack = [string, string[], string];

const attacks: Record<string, Attack[]> = {
  "1: from start_time on, never at or after expiry": [
    [
      "a grant before start",
      [issued(soon, 1), grant({ coupon: soon, position: 1 })],
      "user_coupons_issued_after_start",
    ],
    [
      "a grant before start, dated after it",
      [issued(soon, 1), grant({ coupon: soon, position: 1, at: "c.start_time" })],
      "user_coupons_issued_at_is_now",
    ],
    [
      "a grant after expiry",
      [issued(ended, 2), grant({ coupon: ended, position: 2 })],
      "user_coupons_issued_before_expiry",
    ],
    [
      "a grant at the instant of expiry",
      [issued(ended, 2), grant({ coupon: ended, position: 2, at: "c.expiry" })],
      "user_coupons_issued_before_expiry",
    ],
    [
      "a grant after expiry, dated before it",
      [issued(ended, 2), grant({ coupon: ended, position: 2, at: "c.expiry - interval '1 microsecond'" })],
      "user_coupons_issued_at_is_now",
    ],
    [
      "a grant dated at the start of its transaction",
      [issued(live, 3), grant({ coupon: live, position: 3, at: "transaction_timestamp()" })],
      "user_coupons_issued_at_is_now",
    ],
    [
      "a grant with a later expiry than its coupon's",
      [issued(ended, 2), grant({ coupon: ended, position: 2, expiry: "c.expiry + interval '1 day'" })],
      "user_coupons_coupon_and_expiry",
    ],
    [
      "a start_time after a grant",
      [changeCoupon("start_time = clock_timestamp()")],
      "coupons_start_time_is_fixed_once_issued",
    ],
    [
      "an earlier start_time of an issued coupon",
      [changeCoupon("start_time = start_time - interval '1 second'")],
      "coupons_start_time_is_fixed_once_issued",
    ],
    [
      "a start_time while issued is 0 for a moment",
      [issued(live, 0), changeCoupon("start_time = clock_timestamp()"), issued(live, 2)],
      "coupons_issued_never_falls",
    ],
    [
      "early, to one who is not in the group",
      [issued(early, 1), grant({ user: 4, coupon: early, position: 1 })],
      "user_coupons_issued_after_start",
    ],
    [
      "early, to one who is in another group",
      [
        "insert into coupon.group_members values ('other', 4)",
        issued(early, 1),
        grant({ user: 4, coupon: early, position: 1 }),
      ],
      "user_coupons_issued_after_start",
    ],
    [
      "early, to a member and another one",
      [issued(early, 2), twoGrants({ coupon: early, position: "1 + n" })],
      "user_coupons_issued_after_start",
    ],
    [
      "early, to a member with a position of somebody else",
      [issued(early, 1), grant({ coupon: early, position: 2 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "early, in one statement with grants of another coupon",
      [
        issued(early, 1),
        issued(live, 3),
        `with a as (${grant({ coupon: early, position: 1 })}) ${grant({ user: 4, coupon: live, position: 3 })}`,
      ],
      "user_coupons_issued_after_start",
    ],
    [
      "to a member before its group may have it",
      [issued(soonEarly, 1), grant({ coupon: soonEarly, position: 1 })],
      "user_coupons_issued_after_start",
    ],
    [
      "to a member of no group's coupon before start",
      [
        `update coupon.coupons set eligible_group = null, eligible_from = null where id = ${early}`,
        issued(early, 1),
        grant({ coupon: early, position: 1 }),
      ],
      "user_coupons_issued_after_start",
    ],
    ...[
      "eligible_group = 'other'",
      "eligible_from = clock_timestamp()",
      "eligible_group = null, eligible_from = null",
    ].map(
      (set): Attack => [
        `of a coupon that was issued early: ${set}`,
        [issued(early, 1), grant({ coupon: early, position: 1 }), changeCoupon(set, early)],
        "coupons_group_is_fixed_once_issued",
      ],
    ),
    [
      "a group without a start",
      [changeCoupon("eligible_group = 'vip'", soon)],
      "coupons_eligible_group_has_start",
    ],
    [
      "a start without a group",
      [changeCoupon("eligible_from = now()", soon)],
      "coupons_eligible_group_has_start",
    ],
    [
      "a group that starts with everybody",
      [changeCoupon("eligible_group = 'vip', eligible_from = start_time", soon)],
      "coupons_eligible_from_before_start",
    ],
    [
      "a group that starts after everybody, since that was moved",
      [changeCoupon("start_time = eligible_from - interval '1 minute'", soonEarly)],
      "coupons_eligible_from_before_start",
    ],
    [
      "a group since ever",
      [changeCoupon("eligible_group = 'vip', eligible_from = '-infinity'", soon)],
      "coupons_eligible_from_before_start",
    ],
    [
      "a group whose name is none",
      [changeCoupon("eligible_group = 'v i p', eligible_from = now()", soon)],
      "coupons_eligible_group_is_plain",
    ],
    [
      "a member of a group without a name",
      ["insert into coupon.group_members values ('', 3)"],
      "group_members_group_name_is_plain",
    ],
    [
      "a member who is no user",
      ["insert into coupon.group_members values ('vip', 404)"],
      "group_members_user",
    ],
    ["a member twice", ["insert into coupon.group_members values ('vip', 3)"], "group_members_pkey"],
    [
      "start_time moved in the transaction of the first grant",
      [
        issued(fresh, 1),
        grant({ coupon: fresh, position: 1 }),
        changeCoupon("start_time = clock_timestamp()", fresh),
      ],
      "coupons_start_time_is_fixed_once_issued",
    ],
    [
      "start_time moved in the statement of the first grant",
      [
        `with c as (update coupon.coupons set issued = 1, start_time = clock_timestamp() + interval '1 minute'
          where id = ${fresh}) ${grant({ coupon: fresh, position: 1 })}`,
      ],
      "user_coupons_issued_after_start",
    ],
    [
      "an expiry before a grant",
      [changeCoupon(`expiry = (select min(issued_at) from coupon.user_coupons where coupon_id = ${live})`)],
      "user_coupons_issued_before_expiry",
    ],
    ["an expiry at start", [changeCoupon("expiry = start_time")], "coupons_expiry_after_start"],
    ["an expiry that never comes", [changeCoupon("expiry = 'infinity'")], "coupons_expiry_is_a_date"],
    [
      "another issued_at",
      [change("issued_at = issued_at - interval '1 day'", 1)],
      "user_coupons_grant_is_immutable",
    ],
  ],
  "2: exactly count": [
    [
      "a grant beyond count",
      [grant({ coupon: soldOut, position: 2 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a grant beyond count, issued moved",
      [issued(soldOut, 2), grant({ coupon: soldOut, position: 2 })],
      "coupons_issued_within_count",
    ],
    [
      "a grant and issued in one statement",
      [
        `with c as (update coupon.coupons set issued = 2 where id = ${soldOut})
          ${grant({ coupon: soldOut, position: 2 })}`,
      ],
      "coupons_issued_within_count",
    ],
    [
      "a grant without moving issued",
      [grant({ coupon: live, position: 3 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "more grants than issued says",
      [issued(live, 3), grant({ coupon: live, position: 3 }), grant({ user: 4, coupon: live, position: 4 })],
      "user_coupons_position_follows_issued",
    ],
    ["issued moved up", [issued(live, 3)], "coupons_issued_equals_grants"],
    ["issued moved up to count", [issued(live, "count")], "coupons_issued_equals_grants"],
    [
      "issued moved up, and the coupon to another id",
      [changeCoupon("id = default", fresh), "update coupon.coupons set issued = 3 where count = 7"],
      "coupons_issued_equals_grants",
    ],
    ["issued moved down", [issued(live, 1)], "coupons_issued_never_falls"],
    [
      "issued moved down, without the guard of that",
      [disable("coupons", "coupons_issued_never_falls"), issued(live, 1)],
      "coupons_issued_equals_grants",
    ],
    ["issued below 0", [issued(fresh, -1)], "coupons_issued_never_falls"],
    ["issued above count", [issued(live, 6)], "coupons_issued_within_count"],
    [
      "a coupon that begins with units issued",
      [offer({ more: ["issued", "1"] })],
      "coupons_issued_equals_grants",
    ],
    [
      "issued moved up by on conflict",
      [`${offer({ code: "X" })} on conflict (lower(code)) do update set issued = 1, slot = coupons.slot`],
      "coupons_issued_equals_grants",
    ],
    ["count below issued", [changeCoupon("count = 1")], "coupons_issued_within_count"],
    [
      "sold out, of a coupon that is not",
      [changeCoupon("sold_out_at = now()")],
      "coupons_sold_out_at_is_kept",
    ],
    [
      "sold out at another time",
      [changeCoupon("sold_out_at = now()", soldOut)],
      "coupons_sold_out_at_is_kept",
    ],
    ["sold out at no time", [changeCoupon("sold_out_at = null", soldOut)], "coupons_sold_out_at_is_kept"],
    [
      "a coupon that begins sold out",
      [offer({ more: ["issued", "14"] }), "select 1"],
      "coupons_sold_out_at_is_told",
    ],
    ["no count", [changeCoupon("count = 0", fresh)], "coupons_count_fits"],
    ["a grant deleted", ["delete from coupon.user_coupons"], "user_coupons_grant_is_permanent"],
    ["grants truncated", ["truncate coupon.user_coupons"], "user_coupons_grant_is_permanent"],
    ["coupons truncated with all", ["truncate coupon.coupons cascade"], "coupons_are_permanent_once_issued"],
    ["coupons truncated", ["truncate coupon.coupons"], "0A000"],
    [
      "settings truncated, and all that hangs on it",
      ["truncate coupon.settings cascade"],
      "coupons_are_permanent_once_issued",
    ],
    [
      "an issued coupon deleted",
      [`delete from coupon.coupons where id = ${live}`],
      "coupons_are_permanent_once_issued",
    ],
    [
      "a coupon deleted of which one unit was issued",
      [`delete from coupon.coupons where id = ${soldOut}`],
      "coupons_are_permanent_once_issued",
    ],
    ["an issued coupon's id", [changeCoupon("id = default")], "coupons_are_permanent_once_issued"],
    [
      "the id of a coupon of which one unit was issued",
      [changeCoupon("id = default", soldOut)],
      "coupons_are_permanent_once_issued",
    ],
    [
      "an issued coupon's id, without the guard of that",
      [disable("coupons", "coupons_are_permanent_once_issued_id"), changeCoupon("id = default")],
      "coupons_issued_equals_grants",
    ],
    ["an issued coupon's code", [changeCoupon("code = 'OTHER'")], "coupons_code_is_fixed_once_issued"],
    [
      "the code of a coupon of which one unit was issued",
      [changeCoupon("code = 'OTHER'", soldOut)],
      "coupons_code_is_fixed_once_issued",
    ],
    [
      "an issued coupon's code, in another case",
      [changeCoupon("code = lower(code)")],
      "coupons_code_is_fixed_once_issued",
    ],
    [
      "a grant of no coupon",
      [
        `insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
          values (3, 999999, clock_timestamp(), 'infinity', current_date, 1)`,
      ],
      "user_coupons_coupon_and_expiry",
    ],
    [
      "a grant moved to another coupon",
      [change(`coupon_id = ${other}, expiry = (select expiry from coupon.coupons where id = ${other})`, 1)],
      "user_coupons_grant_is_immutable",
    ],
  ],
  "3: one coupon a user and day": [
    [
      "a second grant on the day",
      [issued(other, 1), grant({ user: 1, coupon: other, position: 1 })],
      "user_coupons_one_per_user_and_day",
    ],
    [
      "a second grant on the day, dated yesterday",
      [
        issued(other, 1),
        grant({ user: 1, coupon: other, position: 1, on: "(t.at at time zone c.time_zone)::date - 1" }),
      ],
      "user_coupons_issued_on_is_today",
    ],
    [
      "a second grant on the day, all of it yesterday",
      [
        issued(other, 1),
        grant({ user: 1, coupon: other, position: 1, at: "clock_timestamp() - interval '1 day'" }),
      ],
      "user_coupons_issued_at_is_now",
    ],
    [
      "two grants of one user in one statement",
      [
        issued(live, 4),
        grant({ coupon: live, position: 3, user: 3 }).replace(
          "from coupon.coupons c",
          "from generate_series(1, 2), coupon.coupons c",
        ),
      ],
      "user_coupons_pkey",
    ],
    [
      "two grants of two days in one statement",
      [issued(live, 4), twoGrants({ on: "-n" })],
      "user_coupons_position_follows_issued",
    ],
    ["another issued_on", [change("issued_on = issued_on - 1", 1)], "user_coupons_grant_is_immutable"],
    ["a grant given to another user", [change("user_id = 3", 1)], "user_coupons_grant_is_immutable"],
    [
      "a grant of no user",
      [issued(live, 3), grant({ user: 99, coupon: live, position: 3 })],
      "user_coupons_user",
    ],
    [
      "a grant of no user beside that of one",
      [issued(live, 4), twoGrants({}).replace("select 3 + n,", "select 3 + 96 * n,")],
      "user_coupons_user",
    ],
    ["a holder deleted", ["delete from coupon.users where id = 1"], "users_are_permanent"],
    ["a holder's id", ["update coupon.users set id = 99 where id = 1"], "users_are_permanent"],
    ["users truncated", ["truncate coupon.users"], "0A000"],
    ["users truncated with all", ["truncate coupon.users cascade"], "users_are_permanent"],
    [
      "a coupon in a zone of its own",
      [changeCoupon("time_zone = 'Asia/Tokyo'")],
      "coupons_in_service_time_zone",
    ],
    ["a second zone", ["insert into coupon.settings values (true, 'Asia/Tokyo')"], "settings_pkey"],
    [
      "a second zone, hidden",
      ["insert into coupon.settings values (false, 'Asia/Tokyo')"],
      "settings_has_one_row",
    ],
    ["no zone", ["delete from coupon.settings"], "coupons_in_service_time_zone"],
    [
      "the zone of whichever server this is",
      ["update coupon.settings set time_zone = 'LocalTime'"],
      "settings_time_zone_is_known",
    ],
  ],
  "4: three different coupons a day": [
    ["a fourth coupon", [offer({ start: `2059-01-01 04:00${offset}` })], "coupons_one_per_slot"],
    [
      "a fourth coupon that says it is of another day",
      [offer({ start: `2059-01-01 04:00${offset}`, more: ["live_on", "'2059-01-04'"] })],
      "coupons_one_per_slot",
    ],
    ["a fourth slot", [offer({ start: `2059-01-01 04:00${offset}`, slot: "4" })], "coupons_slot_is_1_to_3"],
    ["slot 0", [offer({ start: `2059-01-01 04:00${offset}`, slot: "0" })], "coupons_slot_is_1_to_3"],
    ["no slot", [offer({ slot: "null" })], "23502"],
    [
      "an update to slot 4",
      ["update coupon.coupons set slot = 4 where code = 'X'"],
      "coupons_slot_is_1_to_3",
    ],
    ["the same start", [offer({ start: `2059-01-02 00:30${offset}` })], "coupons_one_per_start_time"],
    ["the same count", [offer({ count: "11" })], "coupons_one_per_count"],
    ["the same code", [offer({ code: "ALONE" })], "coupons_code_is_unique"],
    ["the same code in another case", [offer({ code: "alone" })], "coupons_code_is_unique"],
    ["an update to the same code", [changeCoupon("code = 'alone'", fresh)], "coupons_code_is_unique"],
    [
      "an update to the same start",
      [`update coupon.coupons set start_time = '2059-01-01 01:00${offset}' where code = 'Y'`],
      "coupons_one_per_start_time",
    ],
    [
      "an update to the same count",
      ["update coupon.coupons set count = 11 where code = 'Y'"],
      "coupons_one_per_count",
    ],
    [
      "a coupon moved to a full day",
      [`update coupon.coupons set start_time = '2059-01-01 04:00${offset}', count = 14 where code = 'ALONE'`],
      "coupons_one_per_slot",
    ],
    [
      "a day moved to a full day by its zone",
      [`update coupon.settings set time_zone = '${westOfIt}'`],
      "coupons_one_per_slot",
    ],
    [
      "a fourth coupon in a transaction that judges at its end",
      ["set constraints all deferred", offer({ start: `2059-01-01 04:00${offset}` })],
      "coupons_one_per_slot",
    ],
  ],
  "5: used once, by its holder, before expiry": [
    ["a use after expiry", [change(useNow, 9, ended)], "user_coupons_used_before_expiry"],
    [
      "a use after expiry, dated before it",
      [change("used_date = expiry - interval '1 microsecond', use_reference = 'r'", 9, ended)],
      "user_coupons_used_date_is_now",
    ],
    [
      "a use dated at the start of its transaction",
      ["select", change("used_date = transaction_timestamp(), use_reference = 'r'", 1)],
      "user_coupons_used_date_is_now",
    ],
    [
      "a use in the future",
      [change("used_date = clock_timestamp() + interval '1 second', use_reference = 'r'", 1)],
      "user_coupons_used_date_is_now",
    ],
    [
      "a use before the grant",
      [change("used_date = issued_at - interval '1 second', use_reference = 'r'", 1)],
      "user_coupons_used_date_is_now",
    ],
    [
      "a use without reference",
      [change("used_date = clock_timestamp()", 1)],
      "user_coupons_use_has_reference",
    ],
    ["a reference without use", [change("use_reference = 'r'", 1)], "user_coupons_use_has_reference"],
    [
      "a use in the reference's place",
      [change("used_date = clock_timestamp(), use_reference = ''", 1)],
      "user_coupons_use_reference_fits",
    ],
    ["a second use", [change(useNow, used)], "user_coupons_used_once"],
    ["two uses in one transaction", [change(useNow, 1), change(useNow, 1)], "user_coupons_used_once"],
    [
      "a second use by on conflict",
      [
        `${grant({ user: used, coupon: live, position: 3 })}
          on conflict (coupon_id, user_id) do update set ${useNow}`,
      ],
      "user_coupons_used_once",
    ],
    [
      "a second use by merge",
      [
        `merge into coupon.user_coupons g using (values (${used})) v (id) on g.user_id = v.id and g.coupon_id = ${live}
          when matched then update set ${useNow}`,
      ],
      "user_coupons_used_once",
    ],
    [
      "another used_date",
      [change("used_date = used_date + interval '1 microsecond'", used)],
      "user_coupons_used_once",
    ],
    ["another use_reference", [change("use_reference = 'other'", used)], "user_coupons_used_once"],
    ["is_used by hand", [change("is_used = false", used)], "428C9"],
    [
      "a grant that begins used",
      [issued(live, 3), grant({ coupon: live, position: 3, used: "t.at" })],
      "user_coupons_begin_unused",
    ],
    [
      "an expiry before a use",
      [changeCoupon(`expiry = (select max(used_date) from coupon.user_coupons where coupon_id = ${live})`)],
      "user_coupons_used_before_expiry",
    ],
    [
      "a grant's expiry alone",
      [change("expiry = expiry + interval '1 day'", 9, ended)],
      "user_coupons_coupon_and_expiry",
    ],
    [
      "another coupon's expiry",
      [change(`expiry = (select expiry from coupon.coupons where id = ${live})`, 9, ended)],
      "user_coupons_coupon_and_expiry",
    ],
    ["a use moved to another user", [change("user_id = 3", used)], "user_coupons_grant_is_immutable"],
    ["a use taken back without trace", [unuse], "user_coupons_undo_leaves_trace"],
    ["a use taken back, then done again", [unuse, change(useNow, used)], "user_coupons_undo_leaves_trace"],
    [
      "a use taken back by the trace of an older one",
      [trace(), unuse, change(useNow, used), unuse],
      "user_coupons_undo_leaves_trace",
    ],
    [
      "a use taken back by the trace of another user's, of the same instant",
      [
        trace(),
        unuse,
        `update coupon.user_coupons set used_date = statement_timestamp(), use_reference = 'r' where coupon_id = ${live}`,
        trace(),
        change("used_date = null, use_reference = null", 1),
      ],
      "user_coupons_undo_leaves_trace",
    ],
    [
      "a use taken back by the trace of another coupon's, of the same user and instant",
      [
        "update coupon.user_coupons set used_date = statement_timestamp(), use_reference = 'r' where user_id = 1 and expiry > now()",
        trace({ user: 1 }),
        change("used_date = null, use_reference = null", 1),
        change("used_date = null, use_reference = null", 1, old),
      ],
      "user_coupons_undo_leaves_trace",
    ],
    [
      "a use before one that was taken back, where the clock was set back since",
      [
        disable("audit", "user"),
        `insert into coupon.audit (command, user_id, coupon_id, used_date)
          values ('use_coupon', 1, ${live}, clock_timestamp() + interval '1 hour')`,
        change(useNow, 1),
      ],
      "user_coupons_used_date_is_now",
    ],
    ["a trace of a use that is not undone", [trace()], "audit_undo_is_done"],
    ["a trace of a use that was never there", [trace({ used_date: "issued_at" })], "audit_tells_what_is"],
    ["a trace of another reference", [trace({ reference: "'r'" }), unuse], "audit_tells_what_is"],
    [
      "a trace for a use to come",
      [trace({ user: 1, used_date: "clock_timestamp()", reference: "'r'" })],
      "audit_tells_what_is",
    ],
    ["a trace told twice", [trace(), trace(), unuse], "audit_tells_a_use_once"],
    ["a trace without a reason", [trace({ more: ["actor", "'me'"] }), unuse], "audit_undo_has_reason"],
    ["a trace of no user", [trace({ used_date: "null" }), unuse], "audit_tells_what_is"],
  ],
  "6: positions 1 to count without gaps": [
    [
      "a gap",
      [issued(live, 3), grant({ coupon: live, position: 4 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a gap at the start",
      [issued(fresh, 2), grant({ coupon: fresh, position: 2 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a gap that issued covers",
      [issued(live, 4), grant({ coupon: live, position: 4 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a gap that is filled later",
      [issued(live, 4), grant({ coupon: live, position: 4 }), grant({ user: 4, coupon: live, position: 3 })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a gap within a statement, above issued",
      [issued(live, 4), twoGrants({ position: "3 + n * 2" })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a gap within a statement",
      [issued(live, 5), twoGrants({ position: "3 + n * 2" })],
      "user_coupons_position_follows_issued",
    ],
    [
      "a position twice",
      [issued(live, 3), grant({ coupon: live, position: 2 })],
      "user_coupons_one_per_position",
    ],
    ["position 0", [issued(fresh, 1), grant({ coupon: fresh, position: 0 })], "user_coupons_position_from_1"],
    ["no position", [issued(live, 3), grant({ coupon: live, position: "null" })], "23502"],
    ["another position", [change("position = 5", 1)], "user_coupons_grant_is_immutable"],
    [
      "two positions exchanged",
      [`update coupon.user_coupons set position = 3 - position where coupon_id = ${live}`],
      "user_coupons_grant_is_immutable",
    ],
    [
      "grants of two instants in one statement",
      [issued(live, 4), twoGrants({ at: "statement_timestamp() + n * interval '1 microsecond'" })],
      "user_coupons_position_follows_issued",
    ],
  ],
  "7: who holds the coupon goes on holding it": [
    [
      "a second grant of the coupon",
      [issued(live, 3), grant({ user: 1, coupon: live, position: 3 })],
      "user_coupons_pkey",
    ],
    [
      "a second grant of the coupon on another day",
      [issued(old, 2), grant({ user: 1, coupon: old, position: 2 })],
      "user_coupons_pkey",
    ],
    ["the grant deleted with its user", ["delete from coupon.users"], "users_are_permanent"],
    [
      "the grant deleted with its coupon",
      ["delete from coupon.coupons"],
      "coupons_are_permanent_once_issued",
    ],
  ],
  "of claim codes: two secrets, each as it was made until it is retired": [
    ["another key", ["update coupon.claim_secrets set key = default"], "claim_secrets_are_fixed"],
    ["another id", ["update coupon.claim_secrets set id = 2"], "claim_secrets_are_fixed"],
    ["another time", ["update coupon.claim_secrets set created_at = now()"], "claim_secrets_are_fixed"],
    [
      "a key that comes back",
      [
        "update coupon.claim_secrets set key = null, retired_at = now()",
        "update coupon.claim_secrets set key = default, retired_at = null",
      ],
      "claim_secrets_are_fixed",
    ],
    ["no key", ["update coupon.claim_secrets set key = null"], "claim_secrets_key_until_retired"],
    [
      "a key though it is retired",
      ["update coupon.claim_secrets set retired_at = now()"],
      "claim_secrets_key_until_retired",
    ],
    [
      "a key that can be guessed",
      ["insert into coupon.claim_secrets (id, key) values (2, '')"],
      "claim_secrets_key_has_32_bytes",
    ],
    ["a third one", ["insert into coupon.claim_secrets (id) values (2), (3)"], "claim_secrets_two_at_once"],
    ["the secret zero", ["insert into coupon.claim_secrets (id) values (0)"], "claim_secrets_id_from_1"],
    ["a secret deleted", ["delete from coupon.claim_secrets"], "claim_secrets_are_permanent"],
    ["all truncated", ["truncate coupon.claim_secrets"], "claim_secrets_are_permanent"],
  ],
  "of keys: each is there, and revoked once": [
    ["a key deleted", ["delete from coupon.keys"], "keys_stay"],
    ["all truncated", ["truncate coupon.keys"], "keys_stay"],
    [
      "one that comes back",
      [
        "insert into coupon.keys (id, revoked_at) values ('k', now())",
        "update coupon.keys set revoked_at = null, name = 'n'",
      ],
      "keys_are_only_revoked",
    ],
    [
      "another scope",
      [
        "insert into coupon.keys (id, name, scope) values ('k', 'n', 'use')",
        "update coupon.keys set scope = null",
      ],
      "keys_are_only_revoked",
    ],
    [
      "one that nobody revoked, in the audit",
      [
        "insert into coupon.keys (id, name) values ('k', 'n')",
        `insert into coupon.audit (command, new_values) values ('revoke_key', '{"id": "k"}')`,
      ],
      "audit_tells_what_is",
    ],
    [
      "one that nobody recorded, in the audit",
      [
        `insert into coupon.audit (command, new_values) values ('record_key', '{"id": "k", "name": "n", "scope": null}')`,
      ],
      "audit_tells_what_is",
    ],
  ],
  "of subjects: each is one user, and a user is one of them at an issuer": [
    [
      "two users",
      [
        "insert into coupon.subjects values ('s', 'i', 1)",
        "insert into coupon.subjects values ('s', 'i', 2)",
      ],
      "subjects_pkey",
    ],
    [
      "two subjects of a user",
      [
        "insert into coupon.subjects values ('s', 'i', 1)",
        "insert into coupon.subjects values ('t', 'i', 1)",
      ],
      "subjects_one_per_user_and_issuer",
    ],
    ["nobody", ["insert into coupon.subjects values ('s', 'i', 404)"], "subjects_user"],
    [
      "a number of the service that no user has",
      ["insert into coupon.subjects values ('s', 'i', coupon.next_user_id())"],
      "subjects_user",
    ],
  ],
  "of events: each told once, and never changed": [
    ["a row deleted", ["delete from coupon.events"], "events_are_permanent"],
    ["a row changed", ["update coupon.events set coupon_id = 2"], "events_are_permanent"],
    ["truncated", ["truncate coupon.events"], "events_are_permanent"],
    ["a number twice", [event(1, "audit_id", "1"), event(1, "audit_id", "2")], "events_pkey"],
    ["a change twice", [event(1, "audit_id", "1"), event(2, "audit_id", "1")], "events_tell_a_change_once"],
    [
      "a grant twice",
      [event(1, GRANTS, "1, 2, false"), event(2, GRANTS, "2, 2, false")],
      "events_tell_a_grant_once",
    ],
    ["grants and a change", [event(1, `${GRANTS}, audit_id`, "1, 2, false, 1")], "events_are_of_one_kind"],
    ["neither", [event(1, "audit_id", "null")], "events_are_of_one_kind"],
    ["grants without an end", [event(1, "first_position", "1")], "events_are_of_one_kind"],
    ["grants backwards", [event(1, GRANTS, "2, 1, false")], "events_positions_rise"],
    ["from 0", [event(1, GRANTS, "0, 1, false")], "events_positions_rise"],
    ["gathered twice", ["insert into coupon.gathered default values"], "gathered_pkey"],
    ["gathered otherwise", ["insert into coupon.gathered (only_row) values (false)"], "gathered_has_one_row"],
  ],
  "of the audit: what is so, who does it now, and never changed": [
    ["a row deleted", ["delete from coupon.audit"], "audit_is_permanent"],
    ["no row deleted", ["delete from coupon.audit where false"], "audit_is_permanent"],
    ["a row changed", ["update coupon.audit set reason = 'x'"], "audit_is_permanent"],
    ["a row's actor", ["update coupon.audit set actor = '(forgotten)'"], "audit_is_permanent"],
    ["how many were issued then", ["update coupon.audit set issued = 9"], "audit_is_permanent"],
    [
      "words put into a reason",
      [
        note("pause_coupon", '{"paused": false}'),
        "update coupon.audit set reason = '(forgotten) why' || reason",
      ],
      "audit_is_permanent",
    ],
    [
      "the reference of who is not forgotten",
      [
        `update coupon.audit set new_values = new_values || '{"use_reference": "(forgotten)"}' where user_id = ${used}`,
      ],
      "audit_is_permanent",
    ],
    [
      "who is forgotten, and is not",
      ["insert into coupon.audit (command, user_id) values ('forget_user', 3)"],
      "audit_tells_what_is",
    ],
    ["truncated", ["truncate coupon.audit"], "audit_is_permanent"],
    [
      "a row changed by on conflict",
      [
        `insert into coupon.audit overriding system value select * from coupon.audit
          on conflict (id) do update set reason = 'x'`,
      ],
      "audit_tells_who_and_when",
    ],
    [
      "a row changed by merge",
      [
        "merge into coupon.audit a using coupon.audit b on a.id = b.id when matched then update set reason = 'x'",
      ],
      "audit_is_permanent",
    ],
    [
      "a trace deleted within its transaction",
      [trace(), unuse, "delete from coupon.audit"],
      "audit_is_permanent",
    ],
    [
      "an undo in another's name",
      [trace({ more: ["reason, login", "'why', 'postgres'"] }), unuse],
      "audit_tells_who_and_when",
    ],
    [
      "an undo of another time",
      [trace({ more: ["reason, at", "'why', '2020-01-01'"] }), unuse],
      "audit_tells_who_and_when",
    ],
    [
      "another's name",
      [changeCoupon("paused = true"), note("pause_coupon", '{"paused": true}', ["login", "'coupon_admin'"])],
      "audit_tells_who_and_when",
    ],
    [
      "a time to come",
      [
        changeCoupon("paused = true"),
        note("pause_coupon", '{"paused": true}', ["at", "clock_timestamp() + interval '1 second'"]),
      ],
      "audit_tells_who_and_when",
    ],
    [
      "the time at which its transaction began",
      [
        changeCoupon("paused = true"),
        note("pause_coupon", '{"paused": true}', ["at", "transaction_timestamp()"]),
      ],
      "audit_tells_who_and_when",
    ],
    ["a pause that was not", [note("pause_coupon", '{"paused": true}')], "audit_tells_what_is"],
    ["a count that is not", [note("set_coupon_count", '{"count": 50}')], "audit_tells_what_is"],
    [
      "a change to nothing",
      [note("set_coupon_count", "null").replace("'null'", "null")],
      "audit_tells_what_is",
    ],
    [
      "a coupon that is not",
      [note("pause_coupon", '{"paused": false}').replace(`, ${live},`, ", 999999,")],
      "audit_tells_what_is",
    ],
    [
      "a withdrawal that was not",
      [
        `insert into coupon.audit (command, coupon_id, old_values) values ('withdraw_coupon', ${fresh}, '{"count": 7}')`,
      ],
      "audit_tells_what_is",
    ],
    [
      "a withdrawal of no coupon",
      ["insert into coupon.audit (command, old_values) values ('withdraw_coupon', '{}')"],
      "audit_tells_what_is",
    ],
    [
      "a withdrawal of what is not told",
      ["insert into coupon.audit (command, coupon_id) values ('withdraw_coupon', 999999)"],
      "audit_tells_what_is",
    ],
    ["a zone of a coupon", [note("set_time_zone", `{"time_zone": "${time_zone}"}`)], "audit_tells_what_is"],
    [
      "a withdrawal that left something",
      [
        `insert into coupon.audit (command, coupon_id, old_values, new_values) values ('withdraw_coupon', 999999, '{}', '{}')`,
      ],
      "audit_tells_what_is",
    ],
    [
      "an entry of the plan that is not",
      [
        `insert into coupon.audit (command, new_values) values ('set_plan_entry', '{"weekday": 1, "slot": 1}')`,
      ],
      "audit_tells_what_is",
    ],
    [
      "a removal from the plan of nothing",
      ["insert into coupon.audit (command) values ('remove_plan_entry')"],
      "audit_tells_what_is",
    ],
    [
      "a start that is not",
      [note("set_coupon_start", '{"start_time": "2059-01-01T00:00:00+00:00"}')],
      "audit_tells_what_is",
    ],
    ["a text that is not", [note("edit_coupon", '{"message": "never"}')], "audit_tells_what_is"],
    [
      "a time zone that is not",
      [note("set_time_zone", '{"time_zone": "Asia/Tokyo"}').replace(`, ${live},`, ", null,")],
      "audit_tells_what_is",
    ],
    [
      "a use that was not",
      [
        trace({ user: 1, used_date: "clock_timestamp()", reference: "'r'" })
          .replace("undo_use", "use_coupon")
          .replace("old_values", "new_values"),
      ],
      "audit_tells_what_is",
    ],
    [
      "a use under another reference",
      [trace({ reference: "'r'" }).replace("undo_use", "use_coupon").replace("old_values", "new_values")],
      "audit_tells_what_is",
    ],
    [
      "a use told again",
      [trace().replace("undo_use", "use_coupon").replace("old_values", "new_values")],
      "audit_tells_a_use_once",
    ],
    [
      "a secret that is not",
      [note("rotate_claim_secret", '{"secret_id": 2}').replace(`, ${live},`, ", null,")],
      "audit_tells_what_is",
    ],
    [
      "a secret that is not retired",
      [note("retire_claim_secret", '{"secret_id": 1}').replace(`, ${live},`, ", null,")],
      "audit_tells_what_is",
    ],
    ["a secret of a coupon", [note("rotate_claim_secret", '{"secret_id": 1}')], "audit_tells_what_is"],
    ...[
      ...["set_webhook", "rotate_webhook_secret", "enable_webhook", "disable_webhook", "resend_webhook"],
    ].map((command): [string, string[], string] => [
      `${command} of a webhook that is not`,
      [note(command, '{"webhook_name": "crm"}').replace(`, ${live},`, ", null,")],
      "audit_tells_what_is",
    ]),
    [
      "a webhook removed that was never told",
      ["insert into coupon.audit (command) values ('remove_webhook')"],
      "audit_tells_what_is",
    ],
    ["a command that is not", [note("issue_coupon", '{"count": 5}')], "22P02"],
    ["users of a coupon", [note("import_users", '{"created": 1}')], "audit_tells_what_is"],
    [
      "a user where there is no use",
      [note("pause_coupon", '{"paused": false}', ["user_id", "1"])],
      "audit_tells_what_is",
    ],
    [
      "no reason but an empty one",
      [note("pause_coupon", '{"paused": false}', ["reason", "''"])],
      "audit_reason_fits",
    ],
    [
      "no actor but an empty one",
      [note("pause_coupon", '{"paused": false}', ["actor", "''"])],
      "audit_actor_fits",
    ],
    [
      "an actor too long",
      [note("pause_coupon", '{"paused": false}', ["actor", "repeat('a', 251)"])],
      "audit_actor_fits",
    ],
    [
      "a reason too long",
      [note("pause_coupon", '{"paused": false}', ["reason", "repeat('a', 501)"])],
      "audit_reason_fits",
    ],
  ],
  "of what is retired: what is over, all of it, and for ever": [
    ["a coupon that is not over", [retired("issued", live)], "retired_coupons_are_over"],
    ["one whose grants are left out", [retired("0")], "retired_coupons_are_over"],
    ["one that is not", [retired().replace("select id,", "select 999,")], "retired_coupons_are_over"],
    ["one that is still there", [retired()], "retired_coupons_are_gone"],
    [
      "grants that are not counted",
      [...gone, leave(0), `delete from coupon.user_coupons where coupon_id = ${bygone}`],
      "retired_coupons_grants_are_told",
    ],
    [
      "grants that are counted, and still there",
      [...gone, summed(1), leave(1)],
      "retired_coupons_grants_are_told",
    ],
    [
      "a grant before the last one",
      [
        ...gone,
        summed(1),
        leave(1),
        `delete from coupon.user_coupons where (user_id, coupon_id) = (1, ${bygone})`,
      ],
      "user_coupons_grant_is_permanent",
    ],
    [
      "more than are told",
      [...gone, summed(1), leave(1), `delete from coupon.user_coupons where coupon_id = ${bygone}`],
      "user_coupons_grant_is_permanent",
    ],
    [
      "the grants of another coupon too",
      [...gone, summed(2), leave(0), "delete from coupon.user_coupons"],
      "user_coupons_grant_is_permanent",
    ],
    ["more left than before", [...gone, summed(2), leave(0), leave(2)], "retired_coupons_stay"],
    [
      "other times",
      [...gone, "update coupon.retired_coupons set live_on = live_on - 1"],
      "retired_coupons_stay",
    ],
    [
      "an earlier start for a group, afterwards",
      [...gone, "update coupon.retired_coupons set eligible_from = start_time - interval '1 hour'"],
      "retired_coupons_stay",
    ],
    [
      "an earlier start for a group that it had not",
      [
        retired()
          .replace("(coupon_id, ", "(eligible_from, coupon_id, ")
          .replace("select id, ", "select start_time - interval '1 hour', id, "),
      ],
      "retired_coupons_are_over",
    ],
    ["no trace of it", [...gone, "delete from coupon.retired_coupons"], "retired_coupons_stay"],
    ["no trace of any", ["truncate coupon.retired_coupons"], "retired_coupons_stay"],
    ["a sum that falls", [summed(2), "update coupon.retired_grants set issued = 1"], "retired_grants_stay"],
    [
      "more used than issued",
      [summed(1), "update coupon.retired_grants set used = 2"],
      "retired_grants_used_within_issued",
    ],
    ["no sum", [summed(2), "delete from coupon.retired_grants"], "retired_grants_stay"],
    ["no sums", ["truncate coupon.retired_grants"], "retired_grants_stay"],
    [
      "a fourth coupon of its day",
      [
        ...gone,
        `insert into coupon.coupons (code, message, description, start_time, expiry, time_zone, slot, count)
          select 'AGAIN', 'm', 'd', r.start_time + interval '1 minute', now() + interval '1 day', s.time_zone, 2, 77
          from coupon.retired_coupons r, coupon.settings s`,
      ],
      "coupons_day_is_open",
    ],
    [
      "a fourth coupon that moves to its day",
      [...gone, changeCoupon(`start_time = (select start_time from coupon.retired_coupons)`, fresh)],
      "coupons_day_is_open",
    ],
    [
      "told, and not so",
      [
        `insert into coupon.audit (command, coupon_id, old_values) values ('retire_coupons', ${bygone}, '{"code": "C8"}')`,
      ],
      "audit_tells_what_is",
    ],
  ],
  "of who is forgotten: for ever, and no word is left": [
    [
      "a forgotten user made again",
      [forget(3), "insert into coupon.users values (3, 'Ann')"],
      "users_stay_forgotten",
    ],
    [
      "one of several made again",
      [forget(3), "insert into coupon.users values (77, 'Ann'), (3, 'Ben')"],
      "users_stay_forgotten",
    ],
    [
      "forgotten, and still there",
      ["insert into coupon.forgotten_users values (3)"],
      "forgotten_users_are_gone",
    ],
    ["remembered", [forget(3), "delete from coupon.forgotten_users"], "forgotten_users_stay"],
    [
      "another in its place",
      [forget(3), "update coupon.forgotten_users set user_id = 4"],
      "forgotten_users_stay",
    ],
    ["all remembered", ["truncate coupon.forgotten_users"], "forgotten_users_stay"],
    ["a use after it", [forget(1), change(useNow, 1)], "user_coupons_user"],
    ["a reference after it", [forget(used), change("use_reference = 'r'", used)], "user_coupons_used_once"],
    [
      "the reference of who is not forgotten taken out",
      [change("use_reference = '(forgotten)'", used)],
      "user_coupons_used_once",
    ],
    [
      "a grant after it",
      [forget(3), issued(live, 3), grant({ user: 3, coupon: live, position: 3 })],
      "user_coupons_user",
    ],
  ],
};

for (const [rule, list] of Object.entries(attacks)) {
  describe(`rule ${rule}`, () => {
    for (const [attack, statements, constraint] of list) {
      test(`${attack}: ${constraint}`, async () => {
        await assert.rejects(
          commit(...statements),
          /^[0-9A-Z]{5}$/.test(constraint) ? { code: constraint } : { constraint_name: constraint },
        );
      });
    }
  });
}

test("4: a live_on by hand is the day of start_time all the same", async () => {
  const before = await rows(owner`select id, live_on from coupon.coupons order by id`);
  await owner`update coupon.coupons set live_on = '2058-01-01'`;
  assert.deepEqual(await rows(owner`select id, live_on from coupon.coupons order by id`), before);
});

test("after all attacks nothing is broken", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
  assert.deepEqual(
    await rows(
      owner`select user_id::integer, coupon_id::integer, is_used from coupon.user_coupons order by 1, 2`,
    ),
    [
      [1, live, false],
      [1, old, false],
      [1, bygone, false],
      [used, live, true],
      [used, bygone, false],
      [8, soldOut, false],
      [9, ended, false],
    ],
  );
});

/** Runs `work` in a transaction of the owner that is then undone, as if it had come to its commit. */
async function undone(work: (sql: typeof owner) => Promise<void>) {
  const enough = new Error("undo this");
  await assert.rejects(
    owner.begin(async (sql) => {
      await work(sql as unknown as typeof owner);
      await sql`set constraints all immediate`;
      throw enough;
    }),
    enough,
  );
}

test("what is right by hand is accepted: early, a grant to a member", () =>
  undone(async (sql) => {
    for (const statement of [issued(early, 1), grant({ coupon: early, position: 1 })])
      await sql.unsafe(statement);
    await sql`set constraints all immediate`;
    assert.deepEqual(await rows(sql`select * from reconcile()`), []);
  }));

test("what is right by hand is accepted: a grant at the very start, of all and of a group", () =>
  undone(async (sql) => {
    for (const [start, coupon, user] of [
      ["start_time", soon, 4],
      ["eligible_from", soonEarly, 3],
    ] as const)
      await sql.unsafe(
        `with c as (update coupon.coupons set issued = 1, ${start} = statement_timestamp() where id = ${coupon})
          ${grant({ user, coupon, position: 1, at: "statement_timestamp()" })}`,
      );
    await sql`set constraints all immediate`;
    assert.deepEqual(await rows(sql`select * from reconcile()`), []);
  }));

test("what is right by hand is accepted: a grant, a use, an undo, another use", () =>
  undone(async (sql) => {
    for (const statement of [
      issued(live, 4),
      twoGrants({}),
      change(useNow, 3),
      trace(),
      unuse,
      change(useNow, used),
      offer(),
    ])
      await sql.unsafe(statement);
    await sql`set constraints all immediate`;
    assert.deepEqual(await rows(sql`select * from reconcile()`), []);
  }));

/**
 * A rule that is switched off. `edits` take the check out of functions' files: then `attempt` must end at `constraint`.
 * `drop` takes that away too: then the damage is done, and reconcile() must tell it as `invariant`.
 */
interface SwitchedOff {
  rule: string;
  edits: { file: string; from: string; to: string; times?: number }[];
  attempt: string;
  constraint: string;
  drop: string[];
  invariant: string;
  /** The attempt itself is right, and it is the edit that makes it wrong. */
  isRight?: true;
}

const dropFrom = (table: string, ...constraints: string[]) =>
  constraints.map((constraint) => `alter table coupon.${table} drop constraint ${constraint} cascade`);
const one = (user_id: number, coupon_id: number) =>
  `select outcome from issue_coupon(${user_id}, ${coupon_id})`;
const created = (code: string, start_time: string, count: number) =>
  `select outcome from create_coupon('${code}', 'm', 'd', '${start_time}', '2060-01-01', ${count})`;
const moved = (start_time: string) =>
  `select o.outcome from find_coupon(code => 'MOVES') c, set_coupon_start(c.coupon_id, '${start_time}') o`;
/** What a command says when it did it. */
const DONE = ["issued", "created", "used", "changed", "withdrawn"];
const skipLookup = (where: string) => ({ file: "internal/find_place.sql", from: where, to: "where false;" });
const blind = {
  // Is there anybody for whom to lock, who of the batch, and what are those told who get none.
  spent: {
    file: "issue_coupons.sql",
    from: "where g.issued_on = v_today and g.user_id = r.user_id",
    to: "where false and g.user_id = r.user_id",
    times: 3,
  },
  held: {
    file: "issue_coupons.sql",
    from: "where g.coupon_id = issue_coupons.coupon_id and g.user_id",
    to: "where false and g.user_id",
    times: 5,
  },
};

const switchedOff: SwitchedOff[] = [
  {
    rule: "1, start",
    edits: [
      {
        file: "internal/common_refusal.sql",
        from: "when common_refusal.at < coupon.first_start(common_refusal.coupon) then 'not_started'",
        to: "when false then null",
      },
      { file: "issue_coupons.sql", from: "v_now < v_coupon.start_time", to: "false", times: 2 },
    ],
    attempt: one(3, soon),
    constraint: "user_coupons_issued_after_start",
    drop: [disable("user_coupons", "user_coupons_check_new_grants")],
    invariant: "issued_from_start_until_expiry",
  },
  {
    rule: "1, start of a group",
    edits: [
      {
        file: "internal/common_refusal.sql",
        from: "when common_refusal.at < coupon.first_start(common_refusal.coupon) then 'not_started'",
        to: "when false then null",
      },
    ],
    attempt: one(3, soonEarly),
    constraint: "user_coupons_issued_after_start",
    drop: [disable("user_coupons", "user_coupons_check_new_grants")],
    invariant: "issued_from_start_until_expiry",
  },
  {
    rule: "1, expiry",
    edits: [
      {
        file: "internal/common_refusal.sql",
        from: "when common_refusal.at >= (common_refusal.coupon).expiry then 'ended'",
        to: "when false then null",
      },
    ],
    attempt: one(3, ended),
    constraint: "user_coupons_issued_before_expiry",
    drop: dropFrom("user_coupons", "user_coupons_issued_before_expiry"),
    invariant: "issued_from_start_until_expiry",
  },
  {
    rule: "2",
    edits: [
      {
        file: "internal/common_refusal.sql",
        from: "when (common_refusal.coupon).issued >= (common_refusal.coupon).count then 'sold_out'",
        to: "when false then null",
      },
      {
        file: "issue_coupons.sql",
        from: "v_left := v_coupon.count - v_coupon.issued;",
        to: "v_left := 1000;",
      },
    ],
    attempt: one(3, soldOut),
    constraint: "coupons_issued_within_count",
    drop: dropFrom("coupons", "coupons_issued_within_count"),
    invariant: "never_more_than_count",
  },
  {
    rule: "3",
    edits: [blind.spent],
    attempt: one(1, other),
    constraint: "user_coupons_one_per_user_and_day",
    drop: dropFrom("user_coupons", "user_coupons_one_per_user_and_day"),
    invariant: "one_per_user_and_day",
  },
  {
    rule: "4, three",
    edits: [{ file: "internal/find_place.sql", from: "generate_series(1, 3)", to: "generate_series(1, 4)" }],
    attempt: created("W", `2059-01-01 04:00${offset}`, 14),
    constraint: "coupons_slot_is_1_to_3",
    drop: dropFrom("coupons", "coupons_slot_is_1_to_3"),
    invariant: "three_different_coupons_a_day",
  },
  {
    rule: "4, start times",
    edits: [
      skipLookup(
        "where c.start_time = find_place.start_time and c.id is distinct from find_place.coupon_id;",
      ),
    ],
    attempt: created("W", `2059-01-02 00:30${offset}`, 14),
    constraint: "coupons_one_per_start_time",
    drop: dropFrom("coupons", "coupons_one_per_start_time"),
    invariant: "three_different_coupons_a_day",
  },
  {
    rule: "4, counts",
    edits: [
      skipLookup(
        "where c.live_on = find_place.live_on and c.count = find_place.count and c.id is distinct from find_place.coupon_id;",
      ),
    ],
    attempt: created("W", `2059-01-02 04:00${offset}`, 11),
    constraint: "coupons_one_per_count",
    drop: dropFrom("coupons", "coupons_one_per_count"),
    invariant: "three_different_coupons_a_day",
  },
  {
    rule: "4, a start that moves to a day that is full",
    edits: [{ file: "internal/find_place.sql", from: "generate_series(1, 3)", to: "generate_series(1, 4)" }],
    attempt: moved(`2059-01-01 04:00${offset}`),
    constraint: "coupons_slot_is_1_to_3",
    drop: dropFrom("coupons", "coupons_slot_is_1_to_3"),
    invariant: "three_different_coupons_a_day",
  },
  {
    rule: "4, a code that is edited",
    edits: [
      {
        file: "edit_coupon.sql",
        from: 'where lower(c.code) = lower(edit_coupon.code collate "C") and c.id <> edit_coupon.coupon_id;',
        to: "where false;",
      },
    ],
    attempt: `select outcome from edit_coupon(${soon}, code => 'alone')`,
    constraint: "coupons_code_is_unique",
    drop: ["drop index coupon.coupons_code_is_unique"],
    invariant: "code_is_unique",
  },
  {
    rule: "1, a start that moves after a grant",
    edits: [
      {
        file: "set_coupon_start.sql",
        from: "when v_coupon.issued > 0 or coupon.first_start(v_coupon) <= v_now then 'already_started'",
        to: "when false then null",
      },
    ],
    attempt: `select outcome from set_coupon_start(${live}, clock_timestamp() + interval '1 hour')`,
    constraint: "coupons_start_time_is_fixed_once_issued",
    drop: [disable("coupons", "coupons_start_time_is_fixed_once_issued")],
    invariant: "issued_from_start_until_expiry",
  },
  {
    rule: "2, a coupon that is withdrawn with its grants",
    edits: [{ file: "withdraw_coupon.sql", from: "when v_coupon.issued > 0 then 'has_grants'", to: "" }],
    attempt: `select outcome from withdraw_coupon(${live})`,
    constraint: "coupons_are_permanent_once_issued",
    drop: [disable("coupons", "coupons_are_permanent_once_issued")],
    invariant: "grant_has_its_coupon",
  },
  {
    rule: "4, codes",
    edits: [
      {
        file: "create_coupon.sql",
        from: 'where lower(c.code) = lower(create_coupon.code collate "C");',
        to: "where false;",
      },
    ],
    attempt: created("alone", `2059-01-03 04:00${offset}`, 14),
    constraint: "coupons_code_is_unique",
    drop: ["drop index coupon.coupons_code_is_unique"],
    invariant: "code_is_unique",
  },
  {
    rule: "5, expiry",
    edits: [{ file: "use_coupon.sql", from: "if used_date >= v_grant.expiry then", to: "if false then" }],
    attempt: `select outcome from use_coupon(9, ${ended}, 'r')`,
    constraint: "user_coupons_used_before_expiry",
    drop: dropFrom("user_coupons", "user_coupons_used_before_expiry"),
    invariant: "used_by_holder_before_expiry",
  },
  {
    rule: "6",
    edits: [
      {
        file: "issue_coupons.sql",
        from: "v_today, v_coupon.issued + w.place",
        to: "v_today, v_coupon.issued + w.place + 1",
      },
    ],
    attempt: one(3, live),
    constraint: "user_coupons_position_follows_issued",
    drop: [
      disable("user_coupons", "user_coupons_check_new_grants"),
      disable("coupons", "coupons_issued_equals_grants"),
    ],
    invariant: "positions_without_gaps",
    isRight: true,
  },
  {
    rule: "7",
    edits: [blind.spent, blind.held],
    attempt: one(1, live),
    constraint: "user_coupons_pkey",
    drop: dropFrom("user_coupons", "user_coupons_pkey", "user_coupons_one_per_user_and_day"),
    invariant: "one_per_user_and_coupon",
  },
];

/** Replaces functions by their files' text with the edits made. */
async function load(sql: typeof owner, edits: SwitchedOff["edits"]) {
  for (const file of new Set(edits.map((edit) => edit.file))) {
    let text = await readFile(new URL(file, import.meta.url), "utf8");
    for (const { from, to, times = 1 } of edits.filter((edit) => edit.file === file)) {
      assert.equal(text.split(from).length, times + 1, `${times} in ${file}: ${from}`);
      text = text.replaceAll(from, to);
    }
    await sql.unsafe(text).simple();
  }
}

describe("switched off", () => {
  for (const { rule, edits, attempt, constraint, drop, invariant, isRight } of switchedOff) {
    if (!isRight) {
      test(`rule ${rule}: as it is, the function refuses`, () =>
        undone(async (sql) => {
          const outcome = await value(sql.unsafe(attempt));
          assert.ok(!DONE.includes(String(outcome)), String(outcome));
        }));

      test(`rule ${rule}: without the constraint, the function refuses`, () =>
        undone(async (sql) => {
          for (const statement of drop) await sql.unsafe(statement);
          const outcome = await value(sql.unsafe(attempt));
          assert.ok(!DONE.includes(String(outcome)), String(outcome));
        }));
    }

    test(`rule ${rule}: without the function's check, ${constraint} holds`, async () => {
      await assert.rejects(
        undone(async (sql) => {
          await load(sql, edits);
          await sql.unsafe(attempt);
          await sql`set constraints all immediate`;
        }).catch((error) => {
          throw error.code === "ERR_ASSERTION" ? error.actual : error;
        }),
        { constraint_name: constraint },
      );
    });

    test(`rule ${rule}: without both it is broken, and reconcile() says ${invariant}`, () =>
      undone(async (sql) => {
        await load(sql, edits);
        for (const statement of drop) await sql.unsafe(statement);
        const outcome = await value(sql.unsafe(attempt));
        assert.ok(DONE.includes(String(outcome)), String(outcome));
        await sql`set constraints all immediate`;
        const invariants = (await rows(sql`select distinct invariant from reconcile()`)).flat();
        assert.ok(invariants.includes(invariant), String(invariants));
      }));
  }

  // Members come and go, so a grant to somebody else leaves no damage that a row could show.
  test("rule 1, for a group: without the check in the function, user_coupons_issued_after_start holds; without both, everybody is early", () =>
    undone(async (sql) => {
      assert.equal(await value(sql.unsafe(one(4, early))), "not_started");
      await load(sql, [
        {
          file: "issue_coupons.sql",
          from: "select m.user_id from coupon.group_members m\n          where m.group_name = v_coupon.eligible_group and m.user_id = r.user_id",
          to: "r.user_id",
        },
      ]);
      await sql`savepoint before`;
      await assert.rejects(sql.unsafe(one(4, early)), { constraint_name: "user_coupons_issued_after_start" });
      await sql`rollback to savepoint before`;
      await sql.unsafe(disable("user_coupons", "user_coupons_check_new_grants"));
      assert.equal(await value(sql.unsafe(one(4, early))), "issued");
    }));

  // A grant has room for one use, so the second one leaves no damage that a row could show.
  test("rule 5, once: without the check in the function, user_coupons_used_once holds; without both, the use is replaced", () =>
    undone(async (sql) => {
      await load(sql, [
        { file: "use_coupon.sql", from: "if v_grant.used_date is not null then", to: "if false then" },
      ]);
      const again = () => value(sql`select use_reference from use_coupon(${used}, ${live}, 'second')`);
      await sql`savepoint before`;
      await assert.rejects(again(), { constraint_name: "user_coupons_used_once" });
      await sql`rollback to savepoint before`;
      await sql.unsafe(disable("user_coupons", "user_coupons_check_use"));
      assert.equal(await again(), "second");
    }));

  test("rule 7: a function that forgets its replay check refuses the holder", () =>
    undone(async (sql) => {
      await load(sql, [blind.held]);
      assert.equal(await value(sql.unsafe(one(1, live))), "daily_limit_reached");
      assert.equal(await value(sql.unsafe(one(8, soldOut))), "sold_out");
      assert.equal(await value(sql.unsafe(one(9, ended))), "ended");
    }));
});
