/** Events of transactions that are prepared, and so outlive their session and the server, on a server that keeps a replication slot. */
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { initCluster, launch } from "../bench/harness/cluster.ts";
import { createThings } from "../bench/harness/coupons.ts";
import { embeddedBin } from "../bench/harness/nodes.ts";
import { type Sql, withConnection } from "../db/connect.ts";
import { setUp } from "../db/setup.ts";

test("prepared transactions are awaited however much is gathered meanwhile, also by a server that was killed", async (t) => {
  const made = await initCluster(await embeddedBin());
  const settings = ["fsync=off", "autovacuum=off", "max_prepared_transactions=2", "wal_level=logical"];
  let running = await launch(made, settings);
  t.after(async () => {
    await running.end("SIGQUIT");
    await rm(made.home, { recursive: true, force: true });
  });
  await withConnection(running.target, async (root) => {
    await root`create role shop login createrole password 'secret'`;
    await root`create database shop owner shop encoding 'UTF8' template template0`;
  });
  await withConnection(
    running.target.on("shop"),
    (root) => root`select from pg_create_logical_replication_slot('kept', 'pgoutput')`,
  );
  const as = <T>(work: (sql: Sql) => Promise<T>) =>
    withConnection(running.target.withLogin("shop", "secret").on("shop"), work, { role: "coupon_owner" });
  const told = async (sql: Sql, after: string | null = null) =>
    Array.from(
      await sql`select event_id, event, use_reference from events(${after}::text, 1000)`,
      ({ event_id, event, use_reference }) => ({ id: event_id as string, what: [event, use_reference] }),
    );
  const whats = async (sql: Sql, after: string) => (await told(sql, after)).map(({ what }) => what);

  await setUp(running.target.withLogin("shop", "secret").on("shop"));
  const { start, lunch, uses } = await as(async (sql) => {
    const { newUsers, newCoupon } = createThings(sql);
    const [ann, ben] = (await newUsers(2)) as [number, number];
    const lunch = await newCoupon({ count: 2 });
    await sql`select from issue_coupons(${lunch}, array[${ann}, ${ben}]::bigint[])`;
    const start = (await told(sql)).at(-1)?.id as string;
    for (const [name, reference] of [
      ["kept", "ann"],
      ["undone", "nobody"],
    ] as const) {
      await sql.unsafe("begin");
      if (name === "kept") await sql`select from use_coupon(${ann}, ${lunch}, ${reference})`;
      else await sql`select from create_coupon('C', 'm', 'd', now(), now() + interval '1 day', 7)`;
      await sql.unsafe(`prepare transaction '${name}'`);
    }
    const uses: unknown[][] = [];
    for (let i = 0; i < 4; i++) {
      await sql`select from use_coupon(${ben}, ${lunch}, ${`ben ${i}`})`;
      await sql`select from undo_use(${ben}, ${lunch}, 'again')`;
      uses.push(["used", `ben ${i}`], ["undone", `ben ${i}`]);
      assert.deepEqual(await whats(sql, start), uses);
    }
    return { start, lunch, uses };
  });

  await running.end("SIGQUIT");
  running = await launch(made, settings, running.port);
  await as(async (sql) => {
    assert.deepEqual(await whats(sql, start), uses);
    await sql.unsafe("commit prepared 'kept'");
    await sql.unsafe("rollback prepared 'undone'");
    const all = [...uses, ["used", "ann"]];
    assert.deepEqual(await whats(sql, start), all);
    // What came of nothing is given up.
    for (let i = 0; i < 3; i++) {
      await sql`select from edit_coupon(${lunch}, message => ${`edit ${i}`})`;
      all.push(["edited", null]);
      assert.deepEqual(await whats(sql, start), all);
    }
    const [gathered] = await sql`select awaited::text from coupon.gathered`;
    assert.deepEqual(gathered, { awaited: "{}" });
    assert.equal((await sql`select from reconcile()`).count, 0);
  });
});
