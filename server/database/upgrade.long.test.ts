/** A new major version by logical replication, as db/README.md says it, while coupons are issued: nobody gets one twice, and none is lost. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openApp } from "../../bench/harness/app.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { makeCoupon } from "../../bench/harness/coupons.ts";
import { bin, options } from "../../bench/harness/debian.ts";
import { embeddedBin, type Node, startNodes } from "../../bench/harness/nodes.ts";
import { readCode } from "../../bench/harness/readme-blocks.ts";
import { until } from "../../bench/harness/waiting.ts";
import { type Sql, withConnection } from "../../db/connect.ts";
import { setUp } from "../../db/setup.ts";
import type { Target } from "../../db/target.ts";

after(cleanUp);

const COUNT = 400;
/** Who asks before the new one takes writes: what they can have leaves coupons to be issued there, however fast the old one is. */
const FIRST_USERS = 250;
const MINE = "shop_upgrade";

test("from Debian's PostgreSQL to the embedded 18, with one URL that names both", options, async (t) => {
  const settings = ["wal_level=logical"];
  const [before] = await startNodes(1, bin, settings);
  const [next] = await startNodes(1, await embeddedBin(), settings);
  t.diagnostic(`from ${await versionOf(before)} to ${await versionOf(next)}`);
  const shop = ({ target }: typeof before) => target.withLogin("shop", "p").on(MINE);
  const superuser = ({ target }: typeof before) => target.on(MINE);
  for (const node of [before, next]) {
    await node.run(
      "create role shop login createrole password 'p'",
      `create database ${MINE} owner shop encoding 'UTF8' template template0`,
    );
    await setUp(shop(node));
  }
  await next.run(`alter role coupon_api in database ${MINE} set default_transaction_read_only = on`);
  const coupon = await asOwner(shop(before), async (sql) => {
    await sql`insert into coupon.users (id, display_name) select g, 'u' from generate_series(1, ${2 * COUNT}) g`;
    return makeCoupon(sql, { code: "A", count: COUNT });
  });
  const places = [before, next].map(({ port }) => `127.0.0.1:${port}`).join(",");
  const api = shop(before)
    .as("coupon_api")
    .url.replace(/@[^/]*/, `@${places}`);
  const app = await openApp(`${api}?target_session_attrs=read-write`);
  t.after(() => app.close());

  /** Who was told to have a coupon, and which. */
  const told = new Map<number, number>();
  const outcomes = new Map<string, number>();
  let user = 0;
  let users = FIRST_USERS;
  const claim = async (count: number) => {
    const asked = Array.from({ length: count }, () => (user++ % users) + 1);
    const answers = await Promise.all(asked.map((each) => app.issue(coupon, each)));
    for (const [i, { body }] of answers.entries()) {
      outcomes.set(body.outcome, (outcomes.get(body.outcome) ?? 0) + 1);
      if (!["issued", "already_issued"].includes(body.outcome)) continue;
      const holder = asked[i] as number;
      assert.equal(body.position, told.get(holder) ?? body.position);
      told.set(holder, body.position);
    }
  };
  await claim(50);
  assert.equal(told.size, 50);

  // 1. Copy, and follow.
  await withConnection(superuser(before), (sql) =>
    sql.unsafe("create publication upgrade for tables in schema coupon"),
  );
  await withConnection(superuser(next), async (sql) => {
    await emptyAll(sql);
    await sql.unsafe(
      `create subscription upgrade connection 'host=127.0.0.1 port=${before.port} dbname=${MINE} user=postgres password=super' publication upgrade`,
    );
  });
  await until(async () => {
    await claim(1);
    const [left] = await withConnection(
      superuser(next),
      (sql) => sql`select count(*)::integer as n from pg_subscription_rel where srsubstate <> 'r'`,
    );
    return left?.["n"] === 0;
  }, "all tables follow");
  await claim(50);

  // 2. The old one takes no more writes, and the new one has all of them.
  const switching = { isOver: false };
  const burst = (async () => {
    while (!switching.isOver) await claim(10);
  })();
  await before.run(
    `alter database ${MINE} set default_transaction_read_only = on`,
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${MINE}' and usename in ('coupon_api', 'coupon_admin', 'shop')`,
  );
  await until(async () => {
    const [slot] = await withConnection(
      before.target,
      (sql) => sql`
        select confirmed_flush_lsn >= pg_current_wal_lsn() as has_all from pg_replication_slots where slot_name = 'upgrade'`,
    );
    return slot?.["has_all"] === true;
  }, "the new one has all");

  const onOld = told.size;

  // 3. The new one is set up, with its sequences, and takes writes.
  await withConnection(superuser(next), (sql) => sql.unsafe("drop subscription upgrade"));
  await setUp(shop(next));
  await next.run(`alter role coupon_api in database ${MINE} reset default_transaction_read_only`);
  users = 2 * COUNT;
  await until(async () => {
    await claim(1);
    return told.size >= onOld + 50;
  }, "the server has found it");
  switching.isOver = true;
  await burst;
  while ((outcomes.get("sold_out") ?? 0) < 20) await claim(50);

  t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
  await asOwner(shop(next), async (sql) => {
    const rows = await sql`select user_id, position from coupon.user_coupons order by position`;
    assert.deepEqual(
      rows.map(({ position }) => position),
      Array.from({ length: COUNT }, (_, i) => i + 1),
    );
    const holders = new Map(rows.map(({ user_id, position }) => [Number(user_id), position]));
    for (const [holder, position] of told) assert.equal(holders.get(holder), position, `user ${holder}`);
    assert.deepEqual([...(await sql`select * from reconcile()`)], []);
  });
});

async function versionOf({ target }: Pick<Node, "target">): Promise<string> {
  const [row] = await withConnection(
    target,
    (sql) => sql`select current_setting('server_version') as version`,
  );
  return row?.["version"];
}

const asOwner = <T>(target: Target, work: (sql: Sql) => Promise<T>) =>
  withConnection(target, work, { role: "coupon_owner" });

/** What set-up wrote comes from the old database, too: the very statement that db/README.md gives. */
async function emptyAll(sql: Sql): Promise<void> {
  await sql.unsafe(readCode(new URL("../../db/README.md", import.meta.url), "empty"));
}
