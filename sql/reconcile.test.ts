import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, crowd, coupon, upcoming, issue, use, expire, grantedBefore } = await testDatabase();

// A busy database in which all is well: two of 3 issued, one of them used; one sold out; one ended; one to come.
const [ann, ben, cid, dan] = (await crowd(4)) as [number, number, number, number];
const lunch = await coupon({ count: 3, from: "-20 days" });
const dinner = await coupon({ count: 1, from: "-30 days" });
const ended = await coupon();
const soon = await upcoming(1);
for (const [user_id, coupon_id] of [
  [ann, lunch],
  [ben, lunch],
  [cid, dinner],
  [dan, ended],
] as const)
  assert.equal(await issue(user_id, coupon_id), "issued");
await use(ann, lunch, "first");
await admin`select from undo_use(${ann}, ${lunch}, 'cancelled')`;
await use(ann, lunch, "second");
await grantedBefore(1, ann, await coupon({ from: "-90 days" }));
await admin`select from events()`;
await expire(ended);

const off = (table: string, ...constraints: string[]) =>
  constraints.map((constraint) => `alter table coupon.${table} drop constraint ${constraint} cascade`);
const noTriggers = (...tables: string[]) =>
  tables.map((table) => `alter table coupon.${table} disable trigger user`);
const of = (user_id: number, coupon_id: number) => `where (user_id, coupon_id) = (${user_id}, ${coupon_id})`;
/** A copy of ben's grant of lunch, `days` older. */
const again = (set: { user?: number; coupon?: number; position: number; days: number }) => {
  const { user = ben, coupon = lunch, position, days } = set;
  return `insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select ${user}, ${coupon}, issued_at - ${days} * interval '1 day',
      coalesce((select c.expiry from coupon.coupons c where c.id = ${coupon}), expiry), issued_on - ${days}, ${position}
    from coupon.user_coupons ${of(ben, lunch)}`;
};
/** A coupon of the day of `soon`, in slot 2. */
const beside = (code: string, start: string, count: number, slot = 2) =>
  `insert into coupon.coupons (code, message, description, start_time, expiry, time_zone, slot, count)
    select ${code}, 'm', 'd', ${start}, expiry, time_zone, ${slot}, ${count} from coupon.coupons where id = ${soon}`;
const next = (table: string) =>
  `(select format('${table}: next %s, highest 1000', last_value + 1) from coupon.${table}_id_seq)`;
const day = "(select live_on from coupon.coupons where slot = 1 and start_time > clock_timestamp())";

const soldOutAt = (since: string) =>
  `(select format('count 1, issued 1, sold out at %s, last grant at %s', ${since}, g.issued_at)
    from coupon.coupons c join coupon.user_coupons g on g.coupon_id = c.id where c.id = ${dinner})`;

/** The changes that the audit lost: of each, as the event that told it. */
const lost = (count: number): [string, number, null, string][] =>
  Array.from({ length: count }, (_, i) => [
    "told_change_is_in_the_audit",
    lunch,
    null,
    `(select format('event %s, audit %s', e.number, e.audit_id) from coupon.events e
      where e.audit_id is not null and not exists (select from coupon.audit a where a.id = e.audit_id)
      order by e.number offset ${i} limit 1)`,
  ]);

/** The damage, how it is done, and the rows that tell it: invariant, coupon, user, and their detail as SQL. */
type Damage = [string, string[], [string, number | null, number | null, string][]];

const damages: Damage[] = [
  [
    "issued is more than the grants",
    [
      ...noTriggers("coupons"),
      `update coupon.coupons set issued = 3, sold_out_at = clock_timestamp() where id = ${lunch}`,
    ],
    [["issued_equals_grants", lunch, null, "'issued 3, grants 2'"]],
  ],
  [
    "issued is less than the grants",
    [
      ...noTriggers("coupons"),
      `update coupon.coupons set issued = 0, sold_out_at = null where id = ${dinner}`,
    ],
    [
      ["events_tell_each_grant", dinner, null, "'positions 1 to 1 after 0, of 0'"],
      ["issued_equals_grants", dinner, null, "'issued 0, grants 1'"],
    ],
  ],
  [
    "the last grant is gone",
    [...noTriggers("user_coupons"), `delete from coupon.user_coupons ${of(ben, lunch)}`],
    [["issued_equals_grants", lunch, null, "'issued 2, grants 1'"]],
  ],
  [
    "the first grant is gone",
    [
      ...noTriggers("user_coupons", "audit"),
      `delete from coupon.audit ${of(ann, lunch)}`,
      `delete from coupon.user_coupons ${of(ann, lunch)}`,
    ],
    [
      ["issued_equals_grants", lunch, null, "'issued 2, grants 1'"],
      ["positions_without_gaps", lunch, null, "'1 grants, 1 positions from 2 to 2'"],
      ...lost(3),
      ["uses_are_counted", lunch, null, "'used 0, counted 1'"],
    ],
  ],
  [
    "oversold",
    [
      ...noTriggers("user_coupons"),
      ...off("coupons", "coupons_issued_within_count"),
      `update coupon.coupons set issued = 2 where id = ${dinner}`,
      again({ user: dan, coupon: dinner, position: 2, days: 1 }),
    ],
    [["never_more_than_count", dinner, null, "'count 1, issued 2, grants 2'"]],
  ],
  [
    "nobody knows since when it is sold out",
    [
      ...noTriggers("coupons"),
      ...off("coupons", "coupons_sold_out_at_is_told"),
      `update coupon.coupons set sold_out_at = null where id = ${dinner}`,
    ],
    [["sold_out_since_the_last_unit", dinner, null, soldOutAt("null")]],
  ],
  [
    "sold out before the last grant",
    [...noTriggers("coupons"), `update coupon.coupons set sold_out_at = start_time where id = ${dinner}`],
    [["sold_out_since_the_last_unit", dinner, null, soldOutAt("c.start_time")]],
  ],
  [
    "demand of no coupon",
    [...off("demand", "demand_coupon"), "insert into coupon.demand values (999, '2026-05-01 12:00Z', 3, 1)"],
    [
      [
        "demand_is_of_a_coupon",
        999,
        null,
        "format('at %s: refused 3, replayed 1', '2026-05-01 12:00Z'::timestamptz)",
      ],
    ],
  ],
  [
    "demand below 0",
    [
      ...off("demand", "demand_only_grows"),
      `insert into coupon.demand values (${lunch}, '2026-05-01 12:00Z', -3, 1)`,
    ],
    [
      [
        "demand_is_of_a_coupon",
        lunch,
        null,
        "format('at %s: refused -3, replayed 1', '2026-05-01 12:00Z'::timestamptz)",
      ],
    ],
  ],
  [
    "count below issued",
    [
      ...off("coupons", "coupons_issued_within_count"),
      `update coupon.coupons set count = 1 where id = ${lunch}`,
    ],
    [["never_more_than_count", lunch, null, "'count 1, issued 2, grants 2'"]],
  ],
  [
    "a gap between positions",
    [...noTriggers("user_coupons"), `update coupon.user_coupons set position = 3 ${of(ben, lunch)}`],
    [["positions_without_gaps", lunch, null, "'2 grants, 2 positions from 1 to 3'"]],
  ],
  [
    "a position twice",
    [
      ...noTriggers("user_coupons"),
      "drop index coupon.user_coupons_one_per_position",
      `update coupon.user_coupons set position = 1 ${of(ben, lunch)}`,
    ],
    [["positions_without_gaps", lunch, null, "'2 grants, 1 positions from 1 to 1'"]],
  ],
  [
    "a user holds the coupon twice",
    [
      ...noTriggers("user_coupons", "coupons"),
      ...off("user_coupons", "user_coupons_pkey"),
      again({ position: 3, days: 1 }),
      `update coupon.coupons set issued = 3, sold_out_at = clock_timestamp() where id = ${lunch}`,
    ],
    [["one_per_user_and_coupon", lunch, ben, "'2 grants'"]],
  ],
  [
    "a user holds two coupons of a day",
    [
      ...noTriggers("user_coupons", "coupons"),
      ...off("user_coupons", "user_coupons_one_per_user_and_day"),
      again({ user: cid, position: 3, days: 0 }),
      `update coupon.coupons set issued = 3, sold_out_at = clock_timestamp() where id = ${lunch}`,
    ],
    [["one_per_user_and_day", null, cid, `format('2 grants on %s', issued_on)`]],
  ],
  [
    "a grant of no coupon",
    [...noTriggers("user_coupons"), again({ user: dan, coupon: 999, position: 1, days: 1 })],
    [["grant_has_its_coupon", 999, dan, "'no such coupon'"]],
  ],
  [
    "a grant of no user",
    [...noTriggers("users"), `delete from coupon.users where id = ${ben}`],
    [["grant_has_its_user", lunch, ben, "'no such user'"]],
  ],
  [
    "a retired coupon whose grants are not counted",
    [
      ...noTriggers("retired_coupons"),
      `insert into coupon.retired_coupons (coupon_id, code, start_time, expiry, live_on, count, issued, asked, grants_left)
        values (999, 'GONE', now(), now(), current_date, 5, 3, 3, 1)`,
    ],
    [["retired_grants_are_counted", 999, null, "'issued 3, grants 0 of 1, moved out 0'"]],
  ],
  [
    "grants that were moved out of no coupon",
    ["insert into coupon.retired_grants values ('2026-01-01', 999, 3, 0, now(), now())"],
    [["retired_grants_are_counted", 999, null, "'issued , grants 0 of , moved out 3'"]],
  ],
  [
    "a forgotten user with a name",
    [
      `select from forget_user(${ben})`,
      ...noTriggers("users"),
      `insert into coupon.users values (${ben}, 'Ben')`,
    ],
    [["forgotten_user_is_gone", null, ben, "'the name is still there'"]],
  ],
  [
    "a forgotten user who is so no more",
    [
      `select from forget_user(${ben})`,
      "set constraints all immediate",
      ...noTriggers("forgotten_users", "users"),
      `delete from coupon.forgotten_users where user_id = ${ben}`,
      `insert into coupon.users values (${ben}, 'Ben')`,
    ],
    [
      [
        "forgotten_user_stays_forgotten",
        null,
        ben,
        "(select format('audit %s', id) from coupon.audit where command = 'forget_user')",
      ],
    ],
  ],
  ...["update coupon.keys set revoked_at = null", "delete from coupon.keys"].map(
    (undoing): Damage => [
      `a revoked key that is good again: ${undoing}`,
      [
        "select from record_key('k-1', 'POS', null, '2999-01-01Z')",
        "select from revoke_key('k-1')",
        ...noTriggers("keys"),
        undoing,
      ],
      [
        [
          "revoked_key_is_revoked",
          null,
          null,
          "(select format('key k-1, audit %s', id) from coupon.audit where command = 'revoke_key')",
        ],
      ],
    ],
  ),
  [
    "a forgotten user with the reference of a use",
    [
      `select from forget_user(${ann})`,
      ...noTriggers("user_coupons"),
      `update coupon.user_coupons set use_reference = 'second' ${of(ann, lunch)}`,
    ],
    [["forgotten_user_is_gone", lunch, ann, "'the reference of a use is still there'"]],
  ],
  ...["reason = 'cancelled'", `old_values = '{"use_reference": "first"}'`].map(
    (words): Damage => [
      `a forgotten user with words in the audit: ${words}`,
      [
        `select from forget_user(${ann})`,
        ...noTriggers("audit"),
        `update coupon.audit set ${words} where user_id = ${ann} and command = 'undo_use'`,
      ],
      [
        [
          "forgotten_user_is_gone",
          lunch,
          ann,
          `(select format('words are still there, in row %s of the audit', id) from coupon.audit
            where user_id = ${ann} and command = 'undo_use')`,
        ],
      ],
    ],
  ),
  [
    "issued before start",
    [
      ...noTriggers("coupons"),
      `update coupon.coupons set start_time = clock_timestamp(), live_on = (now() at time zone time_zone)::date,
        slot = 3 where id = ${dinner}`,
    ],
    [
      [
        "issued_from_start_until_expiry",
        dinner,
        cid,
        "format('issued at %s, start %s, expiry %s', issued_at, c.start_time, c.expiry)",
      ],
    ],
  ],
  [
    "issued at expiry",
    [
      ...noTriggers("user_coupons"),
      ...off("user_coupons", "user_coupons_issued_before_expiry"),
      `update coupon.user_coupons set issued_at = expiry ${of(dan, ended)}`,
    ],
    [
      [
        "issued_from_start_until_expiry",
        ended,
        dan,
        "format('issued at %s, start %s, expiry %s', issued_at, c.start_time, c.expiry)",
      ],
    ],
  ],
  [
    "a grant with an expiry of its own",
    [
      ...noTriggers("user_coupons"),
      `update coupon.user_coupons set expiry = expiry + interval '1 day' ${of(ben, lunch)}`,
    ],
    [["grant_carries_expiry", lunch, ben, "format('grant %s, coupon %s', g.expiry, c.expiry)"]],
  ],
  [
    "a grant that never expires",
    [
      ...noTriggers("user_coupons"),
      "alter table coupon.user_coupons alter expiry drop not null",
      `update coupon.user_coupons set expiry = null ${of(ben, lunch)}`,
    ],
    [["grant_carries_expiry", lunch, ben, "format('grant , coupon %s', c.expiry)"]],
  ],
  [
    "a grant on another day than its issue",
    [
      ...noTriggers("user_coupons"),
      `update coupon.user_coupons set issued_on = issued_on + 2 ${of(ben, lunch)}`,
    ],
    [["issued_on_is_day_of_issue", lunch, ben, "format('issued at %s on %s', issued_at, issued_on)"]],
  ],
  ...(
    [
      ["a use at expiry", "used_before_expiry", "used_date = expiry"],
      ["a use before the grant", "used_after_issued", "used_date = issued_at - interval '1 microsecond'"],
      ["a use without reference", "use_has_reference", "use_reference = null"],
    ] as const
  ).map(
    ([damage, constraint, set]): Damage => [
      damage,
      [
        ...noTriggers("user_coupons", "audit"),
        ...off("user_coupons", `user_coupons_${constraint}`),
        `delete from coupon.audit ${of(ann, lunch)} and new_values @> '{"use_reference": "second"}'`,
        `update coupon.user_coupons set ${set} ${of(ann, lunch)}`,
      ],
      [
        [
          "used_by_holder_before_expiry",
          lunch,
          ann,
          `format('issued at %s, used at %s, reference %s, expiry %s', issued_at, used_date, use_reference, g.expiry)`,
        ],
        ...lost(1),
      ],
    ],
  ),
  [
    "a use that is not counted",
    [`update coupon.use_counts set used = used - 1 where coupon_id = ${lunch} and used > 0`],
    [["uses_are_counted", lunch, null, "'used 1, counted 0'"]],
  ],
  [
    "a count of uses that are not",
    [`insert into coupon.use_counts values (${dinner}, 0, 2)`],
    [["uses_are_counted", dinner, null, "'used 0, counted 2'"]],
  ],
  [
    "a past grant that is none",
    [`insert into coupon.past_grants values (${ann}, '2001-01-01', ${dinner})`],
    [["past_grants_are_grants", dinner, ann, "'of 2001-01-01: copied without need'"]],
  ],
  [
    "an undone use that is there again",
    [
      ...noTriggers("audit"),
      `insert into coupon.audit (command, user_id, coupon_id, used_date, reason)
        select 'undo_use', user_id, coupon_id, used_date, 'r' from coupon.user_coupons ${of(ann, lunch)}`,
    ],
    [["undone_use_is_undone", lunch, ann, "format('use of %s is still there', used_date)"]],
  ],
  [
    "an undone use of no grant",
    [
      ...noTriggers("audit"),
      `update coupon.audit set user_id = 99, used_date = '2026-01-01Z' ${of(ann, lunch)} and command = 'undo_use'`,
      `delete from coupon.audit ${of(ann, lunch)} and new_values @> '{"use_reference": "first"}'`,
    ],
    [
      ["undone_use_is_undone", lunch, 99, "format('use of %s is still there', '2026-01-01Z'::timestamptz)"],
      ...lost(1),
    ],
  ],
  [
    "an undo that is gone from the audit",
    [...noTriggers("audit"), "delete from coupon.audit where command = 'undo_use'"],
    [
      [
        "audited_use_is_there",
        lunch,
        ann,
        `(select format('use of %s is gone, and nobody undid it', used_date) from coupon.audit
          where new_values @> '{"use_reference": "first"}')`,
      ],
      ...lost(1),
    ],
  ],
  [
    "a use that is gone",
    [
      ...noTriggers("user_coupons"),
      `update coupon.user_coupons set used_date = null, use_reference = null ${of(ann, lunch)}`,
    ],
    [
      [
        "audited_use_is_there",
        lunch,
        ann,
        `(select format('use of %s is gone, and nobody undid it', used_date) from coupon.audit
          where new_values @> '{"use_reference": "second"}')`,
      ],
      ["uses_are_counted", lunch, null, "'used 0, counted 1'"],
    ],
  ],
  [
    "a day of four coupons",
    [
      ...off("coupons", "coupons_one_per_slot"),
      ...[1, 2, 3].map((n) => beside(`'N${n}'`, `start_time + ${n} * interval '1 microsecond'`, 100 + n, 1)),
    ],
    [
      [
        "three_different_coupons_a_day",
        null,
        null,
        `format('%s: 4 coupons, 1 slots, 4 codes, 4 start times, 4 counts', (select live_on from coupon.coupons where code = 'N1'))`,
      ],
    ],
  ],
  ...[1, 4].map(
    (slot): Damage => [
      `a coupon of a day in ${slot === 1 ? "another's slot" : "a fourth slot"}`,
      [
        ...off("coupons", "coupons_one_per_slot", "coupons_slot_is_1_to_3"),
        beside("'N'", "start_time + interval '1 microsecond'", 100, slot),
      ],
      [
        [
          "three_different_coupons_a_day",
          null,
          null,
          `(select format('%s: 2 coupons, 1 slots, 2 codes, 2 start times, 2 counts', live_on) from coupon.coupons where id = ${soon})`,
        ],
      ],
    ],
  ),
  [
    "two coupons of a day start together",
    [...off("coupons", "coupons_one_per_start_time"), beside("'N'", "start_time", 100)],
    [
      [
        "three_different_coupons_a_day",
        null,
        null,
        `format('%s: 2 coupons, 2 slots, 2 codes, 1 start times, 2 counts', ${day})`,
      ],
    ],
  ],
  [
    "two coupons of a day have one count",
    [...off("coupons", "coupons_one_per_count"), beside("'N'", "start_time + interval '1 microsecond'", 10)],
    [
      [
        "three_different_coupons_a_day",
        null,
        null,
        `format('%s: 2 coupons, 2 slots, 2 codes, 2 start times, 1 counts', ${day})`,
      ],
    ],
  ],
  [
    "two coupons of two days have one code",
    [
      "drop index coupon.coupons_code_is_unique",
      ...noTriggers("coupons"),
      `update coupon.coupons set code = 'ONE' where id = ${lunch}`,
      `update coupon.coupons set code = 'one' where id = ${dinner}`,
    ],
    [["code_is_unique", lunch, null, "'2 coupons with code one'"]],
  ],
  [
    "a coupon in another zone than the service",
    [
      ...off("coupons", "coupons_in_service_time_zone"),
      `update coupon.coupons set time_zone = case
          when extract(hour from start_time at time zone 'UTC') < 12 then 'Etc/GMT+12' else 'Etc/GMT-12' end
        where id = ${soon}`,
    ],
    [
      [
        "coupon_in_service_time_zone",
        soon,
        null,
        "(select format('%s, and the service is in %s', c.time_zone, s.time_zone) from coupon.settings s)",
      ],
      [
        "live_on_is_day_of_start",
        soon,
        null,
        `(select format('start %s, live on %s, which is %s in %s by now: call set_time_zone()', start_time, live_on,
            (start_time at time zone s.time_zone)::date, s.time_zone)
          from coupon.coupons, coupon.settings s where id = ${soon})`,
      ],
    ],
  ],
  [
    "a coupon that came with an id of its own",
    [
      beside("'N'", "start_time + interval '1 microsecond'", 100)
        .replace("(code", "(id, code")
        .replace("select 'N'", "overriding system value select 1000, 'N'"),
    ],
    [["next_id_is_free", null, null, next("coupons")]],
  ],
  [
    "a row of the audit that came with an id of its own",
    ["insert into coupon.audit (id, command) overriding system value values (1000, 'import_users')"],
    [["next_id_is_free", null, null, next("audit")]],
  ],
  [
    "a zone that is none",
    [
      ...noTriggers("coupons"),
      ...off("settings", "settings_time_zone_is_known"),
      "update coupon.settings set time_zone = 'Gone/Zone'",
    ],
    [["time_zone_is_known", null, null, "'no time zone Gone/Zone here: call set_time_zone()'"]],
  ],
  [
    "an entry of the plan that was made as no coupon",
    ["insert into coupon.planned (day, slot, coupon_id) values ('2031-01-01', 2, 999)"],
    [["planned_coupon_was_made", 999, null, "'slot 2 of 2031-01-01: there never was such a coupon'"]],
  ],
  [
    "grants that no event tells",
    [...noTriggers("events"), `delete from coupon.events where coupon_id = ${lunch} and last_position = 1`],
    [["events_tell_each_grant", lunch, null, "'positions 2 to 2 after 0, of 2'"]],
  ],
  [
    "an event of grants that there are not",
    [
      `insert into coupon.events (number, gathered_at, coupon_id, first_position, last_position, sold_out)
        values (1000, now(), ${lunch}, 3, 4, false)`,
    ],
    [
      ["events_tell_each_grant", lunch, null, "'positions 3 to 4 after 2, of 2'"],
      [
        "next_id_is_free",
        null,
        null,
        "(select format('events: next %s, highest 1000', last_number + 1) from coupon.gathered)",
      ],
    ],
  ],
  [
    "a coupon that is gone with its grants",
    [
      ...noTriggers("coupons", "user_coupons"),
      `delete from coupon.user_coupons where coupon_id = ${dinner}`,
      `delete from coupon.coupons where id = ${dinner}`,
    ],
    [["events_tell_each_grant", dinner, null, "'positions 1 to 1 after 0, of 0'"]],
  ],
  [
    "an event with a number that comes again",
    ["update coupon.gathered set last_number = 1"],
    [
      [
        "next_id_is_free",
        null,
        null,
        "(select format('events: next 2, highest %s', max(number)) from coupon.events)",
      ],
    ],
  ],
  [
    "a webhook that is ahead of all events",
    [
      `insert into coupon.webhooks (webhook_name, url, event_types, after_number, after_place)
        values ('crm', 'https://crm.example/', '{}', 1000, 0)`,
      "insert into coupon.webhook_secrets (webhook_name, number) values ('crm', 1)",
    ],
    [
      [
        "webhook_is_at_an_event",
        null,
        null,
        "(select format('crm is at 1000 of %s events', last_number) from coupon.gathered)",
      ],
    ],
  ],
  [
    "a change that no event tells",
    [
      ...noTriggers("events"),
      `delete from coupon.events e using coupon.audit a
        where a.id = e.audit_id and a.coupon_id = ${lunch} and a.command = 'undo_use'`,
    ],
    [
      [
        "events_tell_each_change",
        lunch,
        ann,
        `(select format('audit %s', id) from coupon.audit where command = 'undo_use')`,
      ],
    ],
  ],
  [
    "no secret for claim codes",
    [...noTriggers("claim_secrets"), "delete from coupon.claim_secrets"],
    [["claim_codes_have_a_secret", null, null, "'none makes them: call rotate_claim_secret()'"]],
  ],
  [
    "a webhook without a secret",
    [
      `insert into coupon.webhooks (webhook_name, url, event_types, after_number, after_place)
        values ('crm', 'https://crm.example/', '{}', 1, -1)`,
      `insert into coupon.webhook_secrets (webhook_name, number, ends_at) values ('crm', 1, clock_timestamp())`,
    ],
    [["webhook_has_a_secret", null, null, "'nothing signs what crm is sent: call rotate_webhook_secret()'"]],
  ],
  [
    "a coupon without its row of leases",
    [`delete from coupon.leases where coupon_id = ${soon}`],
    [["coupon_can_be_leased", soon, null, "'no row in coupon.leases'"]],
  ],
  [
    "a group that starts with everybody",
    [
      "alter table coupon.coupons disable trigger coupons_eligible_from_before_start",
      `update coupon.coupons set eligible_group = 'vip', eligible_from = start_time where id = ${soon}`,
    ],
    [
      [
        "early_start_is_of_a_group",
        soon,
        null,
        `(select format('group vip from %s, start %s', start_time, start_time) from coupon.coupons where id = ${soon})`,
      ],
    ],
  ],
  [
    "a start of no group",
    [
      "alter table coupon.coupons disable trigger coupons_eligible_group_has_start",
      `update coupon.coupons set eligible_from = start_time - interval '1 hour' where id = ${soon}`,
    ],
    [
      [
        "early_start_is_of_a_group",
        soon,
        null,
        `(select format('group  from %s, start %s', eligible_from, start_time) from coupon.coupons where id = ${soon})`,
      ],
    ],
  ],
  [
    "a member who is no user",
    [...off("group_members", "group_members_user"), "insert into coupon.group_members values ('vip', 404)"],
    [["group_member_is_a_user", null, 404, "'in group vip, and no such user'"]],
  ],
  [
    "a subject that is no user",
    [...off("subjects", "subjects_user"), "insert into coupon.subjects values ('s', 'i', 404)"],
    [["subject_is_of_a_user", null, 404, "'a subject of i, and no such user'"]],
  ],
  [
    "a subject that is forgotten, and whose user is not",
    [`insert into coupon.forgotten_subjects (digest, user_id) values (sha256('s'), ${ann})`],
    [
      [
        "forgotten_subject_is_forgotten",
        null,
        ann,
        "'the user is not forgotten, or the subject is a user again'",
      ],
    ],
  ],
  ...["settings", "folded", "gathered", "webhook_sender"].map(
    (table): Damage => [
      `no row in coupon.${table}`,
      [...off("coupons", "coupons_in_service_time_zone"), `delete from coupon.${table}`],
      [["only_row_is_there", null, null, `'coupon.${table} has 0 rows'`]],
    ],
  ),
  [
    "an expiry at start",
    [
      ...off("coupons", "coupons_expiry_after_start"),
      `update coupon.coupons set expiry = start_time where id = ${soon}`,
    ],
    [
      [
        "expiry_after_start",
        soon,
        null,
        `(select format('start %s, expiry %s', start_time, expiry) from coupon.coupons where id = ${soon})`,
      ],
    ],
  ],
];

const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

test("nothing in a busy and healthy database", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

test("nothing where the clock was set back: the last grant is the one of the last position", async () => {
  const back = await coupon({ count: 3, from: "-40 days" });
  const [first, second] = (await crowd(2)) as [number, number];
  await issue(first, back);
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user`;
    await sql`update coupon.user_coupons set issued_at = issued_at + interval '1 hour' where coupon_id = ${back}`;
    await sql`alter table coupon.user_coupons enable trigger user`;
  });
  const isSoldOutAt = (user_id: number) =>
    value(owner`
      select c.sold_out_at = g.issued_at
      from coupon.coupons c join coupon.user_coupons g on g.coupon_id = c.id and g.user_id = ${user_id}
      where c.id = ${back}`);
  await admin`select from set_coupon_count(${back}, 1)`;
  assert.equal(await isSoldOutAt(first), true);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
  await admin`select from set_coupon_count(${back}, 2)`;
  await issue(second, back);
  assert.equal(await isSoldOutAt(second), true);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

for (const [damage, statements, expected] of damages) {
  test(`${damage}: ${expected.map(([invariant]) => invariant).join(", ")}`, async () => {
    const enough = new Error("undo this");
    const attempt = owner.begin(async (sql) => {
      for (const statement of statements) await sql.unsafe(statement);
      const told = await rows(sql`
        select invariant, coupon_id::integer, user_id::integer, detail from reconcile() order by 1, 2, 3`);
      const wanted: unknown[][] = [];
      for (const [invariant, coupon_id, user_id, detail] of expected) {
        // The detail is made from the grant and the coupon in question.
        const text = await value(
          sql.unsafe(`
            select ${detail}
            from (values (1)) one
            left join coupon.user_coupons g
              on g.user_id = ${user_id} and g.coupon_id = coalesce(${coupon_id}, g.coupon_id)
            left join coupon.coupons c on c.id = ${coupon_id}
            order by g.issued_on desc limit 1`),
        );
        wanted.push([invariant, coupon_id, user_id, text]);
      }
      assert.deepEqual(told.sort(byText), wanted.sort(byText));
      throw enough;
    });
    await assert.rejects(attempt, enough);
  });
}

test("every invariant that the file knows is planted above", async () => {
  const source = String(
    await value(owner`select prosrc from pg_proc where oid = 'public.reconcile()'::regprocedure`),
  );
  const known = [...source.matchAll(/select\s+'([a-z_]+)'/g)].map((match) => match[1]);
  const planted = damages.flatMap(([, , expected]) => expected.map(([invariant]) => invariant));
  assert.deepEqual(new Set(planted), new Set(known));
});
