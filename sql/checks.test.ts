/** What a column may hold: each check of a table at both sides of its edge, by plain statements of the owner of the tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";

const { owner, coupon, crowd, issue, time_zone } = await testDatabase();

await crowd(2);
const lunch = await coupon({ count: 5 });
assert.equal(await issue(2, lunch), "issued");

/** A row that each table takes, as SQL. */
const RIGHT: Record<string, Record<string, string>> = {
  users: { id: "3", display_name: "'n'" },
  coupons: {
    code: "'NEW'",
    message: "'m'",
    description: "'d'",
    start_time: "'2031-01-01 12:00Z'",
    expiry: "'2032-01-01Z'",
    time_zone: `'${time_zone}'`,
    slot: "1",
    count: "7",
    metadata: "'{}'",
  },
  plan: {
    weekday: "1",
    slot: "1",
    code_pattern: "'{date}'",
    message: "'m'",
    description: "'d'",
    local_start: "'12:00'",
    local_expiry: "'13:00'",
    expiry_days: "0",
    count: "5",
    metadata: "'{}'",
  },
  group_members: { group_name: "'g'", user_id: "1" },
  keys: { id: "'k'", name: "'n'", scope: "'use'" },
  subjects: { subject: "'s'", issuer: "'i'", user_id: "1" },
  forgotten_subjects: { digest: "sha256('')", user_id: "1" },
  audit: { command: "'pause_coupon'", coupon_id: String(lunch), new_values: "'{}'" },
  claim_secrets: { id: "2", key: "sha256('')" },
  events: {
    number: "1000",
    gathered_at: "'2031-01-01Z'",
    coupon_id: String(lunch),
    audit_id: "null",
    first_position: "5",
    last_position: "7",
    sold_out: "false",
  },
  webhooks: {
    webhook_name: "'w'",
    url: "'https://crm.example/'",
    event_types: "'{}'",
    after_number: "1",
    after_place: "-1",
  },
  webhook_secrets: { webhook_name: "'crm'", number: "1" },
  webhook_deliveries: {
    webhook_name: "'crm'",
    number: "1",
    place: "0",
    coupon_id: String(lunch),
    attempts: "0",
    next_attempt_at: "'2031-01-01Z'",
  },
  demand: { coupon_id: String(lunch), second: "'2031-01-01Z'", refused: "0", replayed: "0" },
};

const text = (length: number) => `repeat('n', ${length})`;
/** JSON of so many characters as PostgreSQL writes it. */
const json = (length: number) => `jsonb_build_object('a', ${text(length - '{"a": ""}'.length)})`;
const deep = (levels: number) => `'${'{"a": '.repeat(levels)}1${"}".repeat(levels)}'`;

/** Table, column, values that are right, and values that the constraint refuses. */
const EDGES: [table: string, column: string, right: string[], wrong: string[], constraint: string][] = [
  ["users", "id", ["9007199254740991"], ["0", "9007199254740992"], "users_id_is_json_safe"],
  ["users", "display_name", [text(200)], ["''", text(201)], "users_display_name_fits"],
  [
    "coupons",
    "code",
    [text(64), "'aZ09_-'"],
    ["''", text(65), "'a b'", "'ä'", "E'a\\n'"],
    "coupons_code_is_plain",
  ],
  ["coupons", "message", [text(200)], ["''", text(201)], "coupons_message_fits"],
  ["coupons", "description", ["''", text(2_000)], [text(2_001)], "coupons_description_fits"],
  [
    "coupons",
    "start_time",
    ["'1970-01-01Z'"],
    ["timestamptz '1970-01-01Z' - interval '1 microsecond'", "'-infinity'"],
    "coupons_start_time_is_a_date",
  ],
  [
    "coupons",
    "expiry",
    ["timestamptz '9999-12-31Z' - interval '1 microsecond'"],
    ["'9999-12-31Z'", "'infinity'"],
    "coupons_expiry_is_a_date",
  ],
  [
    "coupons",
    "expiry",
    ["timestamptz '2031-01-01 12:00Z' + interval '1 microsecond'"],
    ["'2031-01-01 12:00Z'"],
    "coupons_expiry_after_start",
  ],
  ["coupons", "slot", ["3"], ["0", "4"], "coupons_slot_is_1_to_3"],
  ["coupons", "count", ["1", "100000000"], ["100000001"], "coupons_count_fits"],
  ["coupons", "metadata", [json(4_096)], [json(4_097)], "coupons_metadata_fits"],
  ["coupons", "metadata", [deep(5)], [deep(6)], "coupons_metadata_is_shallow"],
  ["coupons", "metadata", [], ["'[]'", "'1'", "'null'"], "coupons_metadata_is_object"],
  ["plan", "weekday", ["7"], ["0", "8"], "plan_weekday_is_1_to_7"],
  ["plan", "slot", ["3"], ["0", "4"], "plan_slot_is_1_to_3"],
  [
    "plan",
    "code_pattern",
    ["'a-{date}_{weekday}{slot}'"],
    ["'{date}{hour}'", "'{date'", "'{date} '", "'{Date}{date}'"],
    "plan_code_is_plain",
  ],
  [
    "plan",
    "code_pattern",
    ["'{year}{month}{day}'"],
    ["'a'", "'{year}{month}'", "'{year}{day}'", "'{month}{day}'"],
    "plan_code_names_its_day",
  ],
  [
    "plan",
    "code_pattern",
    [`'{date}{weekday}{slot}' || ${text(52)}`, `'{year}{month}{day}' || ${text(56)}`],
    [`'{date}{weekday}{slot}' || ${text(53)}`, `'{year}{month}{day}' || ${text(57)}`],
    "plan_code_fits",
  ],
  ["plan", "message", [text(200)], ["''", text(201)], "plan_message_fits"],
  ["plan", "description", ["''", text(2_000)], [text(2_001)], "plan_description_fits"],
  ["plan", "local_start", ["'00:00'"], [], "plan_times_are_of_a_day"],
  ["plan", "local_expiry", ["'23:59:59.999999'"], ["'24:00'"], "plan_times_are_of_a_day"],
  ["plan", "local_expiry", ["'12:00:00.000001'"], ["'12:00'", "'00:00'"], "plan_expiry_after_start"],
  ["plan", "expiry_days", ["365"], ["-1", "366"], "plan_expiry_days_fit"],
  ["plan", "count", ["1", "100000000"], ["0", "100000001"], "plan_count_fits"],
  ["plan", "metadata", [json(4_096)], [json(4_097)], "plan_metadata_fits"],
  ["plan", "metadata", [deep(5)], [deep(6)], "plan_metadata_is_shallow"],
  ["plan", "metadata", [], ["'[]'", "'1'", "'null'"], "plan_metadata_is_object"],
  [
    "group_members",
    "group_name",
    [text(64), "'aZ09_-'"],
    ["''", text(65), "'a b'", "'ä'", "E'a\\n'"],
    "group_members_group_name_is_plain",
  ],
  ["keys", "id", [text(500)], ["''", text(501)], "keys_id_fits"],
  ["keys", "name", [text(200)], ["''", text(201)], "keys_name_fits"],
  ["keys", "name", [], ["null"], "keys_have_a_name_or_are_revoked"],
  [
    "keys",
    "scope",
    ["null", "'issue read use'"],
    ["''", "'all'", "'use '", "'use,read'"],
    "keys_scope_is_known",
  ],
  ["subjects", "subject", [text(200)], ["''", text(201)], "subjects_subject_fits"],
  ["subjects", "issuer", [text(200)], ["''", text(201)], "subjects_issuer_fits"],
  [
    "forgotten_subjects",
    "digest",
    [],
    ["substr(sha256(''), 2)", "sha256('') || '\\x00'"],
    "forgotten_subjects_digest_has_32_bytes",
  ],
  ["audit", "actor", ["null", "'a'", text(250)], ["''", text(251)], "audit_actor_fits"],
  ["audit", "reason", ["null", "'r'", text(500)], ["''", text(501)], "audit_reason_fits"],
  ["claim_secrets", "id", [], ["0"], "claim_secrets_id_from_1"],
  [
    "claim_secrets",
    "key",
    [],
    ["substr(sha256(''), 2)", "sha256('') || '\\x00'"],
    "claim_secrets_key_has_32_bytes",
  ],
  ["claim_secrets", "key", [], ["null"], "claim_secrets_key_until_retired"],
  [
    "demand",
    "second",
    [],
    ["'2031-01-01 00:00:00.000001Z'", "'2031-01-01 00:00:00.5Z'"],
    "demand_second_is_whole",
  ],
  ["demand", "refused", ["1"], ["-1"], "demand_only_grows"],
  ["demand", "replayed", ["1"], ["-1"], "demand_only_grows"],
  ["events", "first_position", ["1", "7"], ["0", "8"], "events_positions_rise"],
  ["events", "audit_id", [], ["1"], "events_are_of_one_kind"],
  ["events", "first_position", [], ["null"], "events_are_of_one_kind"],
  ["events", "last_position", [], ["null"], "events_are_of_one_kind"],
  ["events", "sold_out", ["true"], ["null"], "events_are_of_one_kind"],
  ["events", "coupon_id", [], ["null"], "events_are_of_one_kind"],
  [
    "webhooks",
    "webhook_name",
    [text(64), "'aZ09_-'"],
    ["''", text(65), "'a b'", "'ä'"],
    "webhooks_webhook_name_is_plain",
  ],
  [
    "webhooks",
    "url",
    ["'http://[::1]:1/?q#f'", "'https://a'"],
    ["'ftp://a/'", "'https:///a'", "'https://ann@a/'", "'https://a/ b'", "'https://a/ä'", "E'https://a/\\n'"],
    "webhooks_url_is_http",
  ],
  [
    "webhooks",
    "url",
    [`'https://a/' || ${text(1_990)}`],
    [`'https://a/' || ${text(1_991)}`],
    "webhooks_url_fits",
  ],
  ["webhooks", "last_error", [text(200)], [text(201)], "webhooks_last_error_fits"],
  ["webhooks", "disabled_at", [], ["now()"], "webhooks_disabled_for_a_reason"],
  ["webhooks", "disabled_reason", [], ["'r'"], "webhooks_disabled_for_a_reason"],
  [
    "webhook_secrets",
    "key",
    ["substr(sha256(''), 9)", "sha256('') || sha256('')"],
    ["substr(sha256(''), 10)", "sha256('') || sha256('') || '\\x00'"],
    "webhook_secrets_key_fits",
  ],
  ["webhook_deliveries", "attempts", [], ["-1"], "webhook_deliveries_attempts_count"],
  ["webhook_deliveries", "last_error", [text(200)], [text(201)], "webhook_deliveries_last_error_fits"],
  ["webhook_deliveries", "next_attempt_at", [], ["null"], "webhook_deliveries_wait_or_are_dead"],
];

await owner.unsafe(`insert into coupon.webhooks (webhook_name, url, event_types, after_number, after_place)
  values ('crm', 'https://crm.example/', '{}', 1, -1)`);

const insertInto = (table: string, given: Record<string, string>) => {
  const row = { ...RIGHT[table], ...given };
  return `insert into coupon.${table} (${Object.keys(row)}) values (${Object.values(row)})`;
};

/** The constraint that refuses statements, "taken" if none does; nothing stays of it. */
async function constraintOn(statements: string): Promise<string> {
  let refusedBy = "taken";
  await owner
    .begin(async (sql) => {
      await sql.unsafe(statements);
      throw new Error("taken");
    })
    .catch((error) => {
      if (error.message !== "taken") refusedBy = error.constraint_name ?? `${error.code}: ${error.message}`;
    });
  return refusedBy;
}

for (const [table, column, right, wrong, constraint] of EDGES)
  test(`${constraint} (${column})`, async () => {
    for (const value of right)
      assert.equal(await constraintOn(insertInto(table, { [column]: value })), "taken", value);
    for (const value of wrong)
      assert.equal(await constraintOn(insertInto(table, { [column]: value })), constraint, value);
  });

/** Statements that a constraint refuses, without the guards that would refuse them earlier. */
const REFUSED: Record<string, string[]> = {
  plan_one_per_start: [
    `${insertInto("plan", {})}; ${insertInto("plan", { slot: "2", count: "6", local_expiry: "'14:00'" })}`,
  ],
  plan_one_per_count: [
    `${insertInto("plan", {})}; ${insertInto("plan", { slot: "2", local_start: "'12:30'" })}`,
  ],
  folded_has_one_row: ["insert into coupon.folded (only_row) values (false)"],
  issuing_is_empty: ["insert into coupon.issuing values (false)"],
  settings_has_one_row: ["insert into coupon.settings (only_row, time_zone) values (false, 'Europe/Berlin')"],
  coupons_issued_within_count: [-1, 6].map(
    (issued) => `alter table coupon.coupons disable trigger user;
      update coupon.coupons set issued = ${issued} where id = ${lunch}`,
  ),
  coupons_sold_out_at_is_told: ["issued = count", "sold_out_at = clock_timestamp()"].map(
    (change) => `alter table coupon.coupons disable trigger user;
      update coupon.coupons set ${change} where id = ${lunch}`,
  ),
  user_coupons_position_from_1: [0, 100_000_001].map(
    (position) => `alter table coupon.user_coupons disable trigger user;
      update coupon.user_coupons set position = ${position} where user_id = 2`,
  ),
  events_are_of_one_kind: [
    `insert into coupon.events (number, gathered_at, coupon_id) values (1000, '2031-01-01Z', ${lunch})`,
    `insert into coupon.events (number, gathered_at, coupon_id, audit_id, sold_out) values (1000, '2031-01-01Z', ${lunch}, 1, true)`,
  ],
  webhook_sender_has_one_row: ["insert into coupon.webhook_sender (only_row) values (false)"],
  gathered_has_one_row: ["insert into coupon.gathered (only_row) values (false)"],
  user_coupons_use_reference_fits: [
    "update coupon.user_coupons set used_date = clock_timestamp(), use_reference = '' where user_id = 2",
    `update coupon.user_coupons set used_date = clock_timestamp(), use_reference = ${text(201)} where user_id = 2`,
  ],
  user_coupons_used_after_issued: [
    `alter table coupon.user_coupons disable trigger user;
    update coupon.user_coupons set used_date = issued_at - interval '1 microsecond', use_reference = 'r'
      where user_id = 2`,
  ],
  retired_coupons_grants_left_within_issued: ["-1", "1"].map(
    (left) => `alter table coupon.retired_coupons disable trigger user;
      insert into coupon.retired_coupons
      (coupon_id, code, start_time, expiry, live_on, count, issued, asked, grants_left)
      values (0, 'C', '2020-01-01Z', '2020-01-02Z', '2020-01-01', 5, 0, 0, ${left})`,
  ),
  retired_grants_used_within_issued: ["-1", "2"].map(
    (used) =>
      `insert into coupon.retired_grants values ('2020-01-01', 0, 1, ${used}, '2020-01-01Z', '2020-01-01Z')`,
  ),
};

for (const [constraint, statements] of Object.entries(REFUSED))
  test(constraint, async () => {
    for (const statement of statements) assert.equal(await constraintOn(statement), constraint, statement);
  });

test("a reference of 200 characters", async () => {
  const fits = `update coupon.user_coupons set used_date = clock_timestamp(), use_reference = ${text(200)} where user_id = 2`;
  assert.equal(await constraintOn(fits), "taken");
});

test("every check of a table is tried here, or in rules.test.ts", async () => {
  const tried = [...EDGES.map(([, , , , constraint]) => constraint), ...Object.keys(REFUSED)];
  const others = owner`
    select k.conname from pg_constraint k
    where k.contype = 'c' and k.connamespace = 'coupon'::regnamespace and k.conname <> all (${tried})
    order by k.conname`;
  assert.deepEqual((await rows(others)).flat(), [
    "audit_undo_has_reason",
    "settings_time_zone_is_known",
    "user_coupons_issued_before_expiry",
    "user_coupons_use_has_reference",
    "user_coupons_used_before_expiry",
  ]);
});
