import assert from "node:assert/strict";
import { test } from "node:test";
import { openDrifts } from "../bench/harness/drifts.ts";
import { catalogueOf } from "./catalogue.ts";
import { withConnection } from "./connect.ts";
import { examine, wantedCatalogue } from "./doctor.ts";
import { SOURCES } from "./setup.ts";

const { scratch, sql, undone, ofServer, notOfServer, wanted, trials } = await openDrifts();
const { target, owner, admin } = scratch;

test("a database that was just set up: nothing differs", async () => {
  assert.deepEqual(
    [...ofServer].filter((what) => !/^setting (fsync|full_page_writes|autovacuum) /.test(what)),
    [],
  );
  assert.deepEqual(notOfServer(await examine(target)), []);
  assert.ok(wanted.size > 1000, `${wanted.size} properties are compared`);
});

test("a database whose sessions write names otherwise: nothing differs", async (t) => {
  const set = (what: string) =>
    withConnection(target, (setup) => setup.unsafe(`alter database ${target.database} ${what}`));
  await set("set quote_all_identifiers = on");
  t.after(() => set("reset quote_all_identifiers"));
  assert.deepEqual(notOfServer(await examine(target)), []);
});

/** One of each kind. The others are in doctor-drifts.long.test.ts. */
for (const { name, run } of trials({
  renamed: [["alter table coupon.audit rename to audits", "table coupon.audit is called coupon.audits"]],
  constraints: [
    [
      "alter table coupon.coupons drop constraint coupons_issued_within_count",
      "constraint coupons_issued_within_count on coupon.coupons is missing",
    ],
  ],
  triggers: [
    [
      "drop trigger user_coupons_check_new_grants on coupon.user_coupons",
      "trigger user_coupons_check_new_grants on coupon.user_coupons is missing",
    ],
  ],
  indexes: [["drop index coupon.audit_by_time", "index coupon.audit_by_time on coupon.audit is missing"]],
  columns: [
    [
      "alter table coupon.audit alter column coupon_id type integer",
      "column coupon.audit.coupon_id: type is integer, should be bigint",
    ],
  ],
  tables: [
    [
      "alter table coupon.audit set unlogged",
      "sequence coupon.audit_id_seq: persistence is unlogged, should be logged",
      "table coupon.audit: persistence is unlogged, should be logged",
    ],
  ],
  sequences: [
    [
      "alter table coupon.coupons alter column id set cycle",
      "sequence coupon.coupons_id_seq: at its end is begins again, should be an error",
    ],
  ],
  types: [
    [
      "alter type public.wallet_state add value 'lost'",
      "type public.wallet_state: values is issued, used, expired, lost, should be issued, used, expired",
    ],
  ],
  functions: [
    [
      `create or replace function coupon.position_key(coupon_id bigint, "position" integer) returns bigint
        language sql immutable parallel safe return coupon_id`,
      'function coupon.position_key(bigint,integer): text is RETURN coupon_id, should be RETURN ((coupon_id * 134217728) + "position")',
    ],
  ],
  rights: [
    [
      "grant execute on function public.undo_use(bigint, bigint, text, text, boolean, timestamptz) to public",
      "function public.undo_use(bigint,bigint,text,text,boolean,timestamp with time zone): right execute of public is given, should be none",
    ],
  ],
  roles: [
    [
      "reset role; alter role coupon_api reset lock_timeout",
      "role coupon_api: setting lock_timeout is none, should be 2s",
    ],
  ],
  surroundings: [
    [
      "reset role; alter database DATABASE connection limit 19",
      "database DATABASE: connection limit is 19, should be none or at least 20",
    ],
  ],
}))
  test(name, run);

test("while coupons are issued: the doctor waits for nobody, and nobody for the doctor", async () => {
  const session = await admin.reserve();
  await session`begin`;
  await session`select from import_users(array[1], array['Ann'])`;
  await session`
    select from create_coupon('PIZZA', 'm', '', clock_timestamp() - interval '1 hour', clock_timestamp() + interval '1 day', 5)`;
  await session`select from issue_coupons(1, array[1::bigint])`;
  assert.deepEqual(notOfServer(await examine(target)), []);
  await session`commit`;
  await undone(async () => {
    await wantedCatalogue(sql, await catalogueOf(sql), SOURCES);
    await session`set lock_timeout = '1ms'`;
    const [row] = await session`select outcome from issue_coupon(1, 1)`;
    assert.equal(row?.["outcome"], "already_issued");
    await session`select from pause_coupon(1)`;
  });
  await session`reset lock_timeout`;
  session.release();
});

test("a table that somebody has locked: said", async () => {
  const session = await owner.reserve();
  await session`begin`;
  await session`lock table coupon.coupons`;
  await assert.rejects(examine(target), {
    message: /^the comparison: .* holds what it must lock/,
  });
  await session`rollback`;
  session.release();
});
