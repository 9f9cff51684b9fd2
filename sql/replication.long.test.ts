/**
 * A cluster whose synchronous standby is missing: what it acknowledges could be lost, so it acknowledges nothing. A
 * cluster of its own, because the setting holds for all of it.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createThings } from "../bench/harness/coupons.ts";
import { until } from "../bench/harness/waiting.ts";
import { connect, type Sql, withConnection } from "../db/connect.ts";
import { startEmbedded, stopEmbedded } from "../db/embedded/embedded.ts";
import { setUp } from "../db/setup.ts";
import { targetOf } from "../db/target.ts";

const ENTRY = "1, 1, 'P{date}', 'm', 'd', '12:00', '13:00', 5";

let dataDir: string;
let watch: Sql;
let url: string;

before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "coupon-replication-"));
  await restart("");
  await setUp(targetOf(url));
  await withConnection(targetOf(url).as("coupon_admin"), async (admin) => {
    const { newUsers, newCoupon } = createThings(admin);
    await newUsers(9);
    for (const count of [5, 5, 1]) await newCoupon({ count });
    await admin`select from issue_coupons(1, array[1, 2])`;
    await admin`select from issue_coupon(8, 3)`;
    await admin`select from use_coupon(1, 1, 'order 1')`;
    for (const call of [
      "create_coupon('BACK', 'm', 'd', now() + interval '3 days', now() + interval '4 days', 5)",
      "withdraw_coupon(4)",
      "forget_user(9)",
      "set_webhook('crm', 'https://crm.example/')",
      "set_webhook('off', 'https://crm.example/')",
      "disable_webhook('off')",
      "record_key('k-1', 'POS', 'use', '2031-01-01Z')",
      "revoke_key('k-2')",
      `set_plan_entry(${ENTRY})`,
      "add_to_group('vip', array[1])",
    ])
      await admin.unsafe(`select from ${call}`);
  });
});

after(async () => {
  await watch?.end({ timeout: 1 });
  await stopEmbedded({ dataDir });
  await rm(dataDir, { recursive: true, force: true });
});

const REPLAYS = [
  "issue_coupon(user_id => 1, coupon_id => 1)",
  "issue_coupons(coupon_id => 1, user_ids => array[1, 999])",
  "use_coupon(user_id => 1, coupon_id => 1, reference => 'order 1')",
  "use_coupon(user_id => 1, coupon_id => 1, reference => 'order 2')",
];
/** What an administrator is told of a command that was done before. */
const OF_COMMANDS = [
  ["resume_coupon(1)", "not_paused"],
  ["set_coupon_count(1, 5)", "unchanged"],
  ["set_coupon_expiry(1, (select expiry from coupon.coupons where id = 1))", "unchanged"],
  ["set_coupon_start(1, (select start_time from coupon.coupons where id = 1))", "unchanged"],
  ["set_coupon_group(1, null, null)", "unchanged"],
  ["edit_coupon(1, code => 'C1')", "unchanged"],
  ["withdraw_coupon(4)", "already_withdrawn"],
  [`set_plan_entry(${ENTRY})`, "unchanged"],
  ["remove_plan_entry(2, 1)", "not_planned"],
  ["forget_user(9)", "already_forgotten"],
  ["set_webhook('crm', 'https://crm.example/')", "unchanged"],
  ["enable_webhook('crm')", "already_enabled"],
  ["disable_webhook('off')", "already_disabled"],
  ["record_key('k-1', 'POS', 'use', '2031-01-01Z')", "already_recorded"],
  ["revoke_key('k-2')", "already_revoked"],
  ["import_users(array[1], array['User 1'])", "unchanged"],
  ["set_time_zone('UTC')", "unchanged"],
  ["add_to_group('vip', array[1])", "already_member"],
  ["remove_from_group('vip', array[2])", "not_member"],
  ["remove_webhook('gone')", "webhook_not_found"],
] as const;
/** Refusals that rest on grants, and what a server needs to repeat one. */
const OF_GRANTS = [
  "issue_coupon(user_id => 1, coupon_id => 2)",
  "issue_coupon(user_id => 7, coupon_id => 3)",
  "issue_coupons(coupon_id => 3, user_ids => array[6, 7, 999])",
  "coupon_leases(array[3])",
  "coupon_leases(array[3], only_leased => true)",
];
/** Of a server that knows the last grant. */
const GOES_ON =
  "coupon_leases(array[3], array[1], array[(select issued_at from public.wallet(8))], only_leased => true)";
const REFUSALS = [
  "issue_coupon(user_id => 999, coupon_id => 1)",
  "issue_coupon(user_id => 3, coupon_id => 999)",
  "use_coupon(user_id => 4, coupon_id => 1, reference => 'order 1')",
];

for (const call of [...REPLAYS, ...OF_GRANTS.filter((call) => call.startsWith("issue")), ...REFUSALS])
  test(`without synchronous standbys ${call} gets no transaction id`, async () => {
    const assigned = await withConnection(targetOf(url).as("coupon_api"), (api) =>
      api.begin(async (sql) => {
        await sql.unsafe(`select from ${call}`);
        return sql`select pg_current_xact_id_if_assigned() as id`;
      }),
    );
    assert.deepEqual([...assigned], [{ id: null }]);
  });

for (const [call, outcome] of OF_COMMANDS)
  test(`${call} is ${outcome}`, async () => {
    assert.equal(await answer(call, "on", "coupon_admin"), outcome);
  });

test("the standby goes missing", () => restart("nobody"));

const WRITES = [
  "issue_coupon(user_id => 3, coupon_id => 1)",
  "use_coupon(user_id => 2, coupon_id => 1, reference => 'order 2')",
  "undo_use(user_id => 1, coupon_id => 1, reason => 'mistake')",
];

for (const call of [...REPLAYS, ...OF_GRANTS, ...WRITES])
  test(`${call} waits for it, though the session asked for synchronous_commit off`, async () => {
    assert.equal(await answer(call, "off"), "no answer");
  });

for (const [call] of OF_COMMANDS)
  test(`${call}, which was done before, waits for it`, async () => {
    assert.equal(await answer(call, "off", "coupon_admin"), "no answer");
  });

for (const [user, level] of [
  [4, "local"],
  [5, "remote_write"],
  [6, "on"],
] as const)
  test(`a grant waits for it with synchronous_commit ${level}, and so does its replay`, async () => {
    const call = `issue_coupon(user_id => ${user}, coupon_id => 2)`;
    assert.equal(await answer(call, level), "no answer");
    assert.equal(await answer(call, level), "no answer");
  });

for (const call of [...REFUSALS, GOES_ON])
  test(`${call} confirms nothing, and doesn't wait`, async () => {
    assert.notEqual(await answer(call, "on"), "no answer");
  });

for (const [helper, call, outcome] of [
  ["fence_replay", "issue_coupon(user_id => 2, coupon_id => 1)", "already_issued"],
  ["fence_replay", "issue_coupon(user_id => 7, coupon_id => 3)", "sold_out"],
  ["fence_replay", "coupon_leases(array[3])", "leased"],
  ["commit_durably", "issue_coupon(user_id => 7, coupon_id => 2)", "issued"],
] as const)
  test(`goes red without ${helper}()`, async () => {
    const owner = connect(url, { role: "coupon_owner" });
    try {
      await owner`set synchronous_commit = local`;
      const [has] = await owner`
        select pg_get_functiondef(p.oid) as text from pg_proc p where p.proname = ${helper}`;
      await owner.unsafe(
        `create or replace function coupon.${helper}() returns void language sql as 'select'`,
      );
      assert.equal(await answer(call, "off"), outcome);
      await owner.unsafe(has?.["text"]);
    } finally {
      await owner.end({ timeout: 1 });
    }
  });

test("the standby is given up: a retry is told what had no answer", async () => {
  await restart("");
  assert.equal(await answer("issue_coupon(user_id => 3, coupon_id => 1)", "on"), "already_issued");
  assert.equal(
    await answer("use_coupon(user_id => 2, coupon_id => 1, reference => 'order 2')", "on"),
    "used",
  );
  assert.equal(await answer("undo_use(user_id => 1, coupon_id => 1, reason => 'mistake')", "on"), "not_used");
  const broken = await withConnection(
    targetOf(url).as("coupon_admin"),
    (admin) => admin`select * from reconcile()`,
  );
  assert.deepEqual([...broken], []);
});

/** The outcome of a call; if it waits for the standby its session is ended. */
async function answer(
  call: string,
  synchronousCommit: string,
  login: "coupon_api" | "coupon_admin" = "coupon_api",
): Promise<string> {
  const api = connect(targetOf(url).as(login));
  try {
    await api`select set_config('synchronous_commit', ${synchronousCommit}, false)`;
    let isOver = false;
    const outcome = api
      .unsafe(`select outcome from ${call}`)
      .then(
        (rows) => ({ outcome: rows[0]?.["outcome"] as string }),
        ({ code }: { code?: string }) => ({ code }),
      )
      .finally(() => {
        isOver = true;
      });
    await until(async () => isOver || (await endWaiter()), `${call} is answered, or waits`);
    const told = await outcome;
    if ("outcome" in told) return told.outcome;
    assert.equal(told.code, "CONNECTION_CLOSED");
    return "no answer";
  } finally {
    await api.end({ timeout: 0 });
  }
}

/** Ends the session that waits for the standby; says whether there was one. */
async function endWaiter(): Promise<boolean> {
  const ended = await watch`
    select pg_terminate_backend(pid) from pg_stat_activity where usename in ('coupon_api', 'coupon_admin') and wait_event = 'SyncRep'`;
  return ended.count === 1;
}

async function restart(standbys: string): Promise<void> {
  await watch?.end({ timeout: 1 });
  await stopEmbedded({ dataDir });
  ({ url } = await startEmbedded({ dataDir, settings: { synchronous_standby_names: standbys } }));
  watch = connect(url);
}
