import { test } from "node:test";
import { scratchDatabase } from "/work/main/db/scratch.ts";
test("probe", async () => {
  const d = await scratchDatabase();
  const { owner, admin } = d;
  const go = async (name: string, work: () => Promise<unknown>) => {
    try { const r = await work(); console.log("SUCCEEDED", name, JSON.stringify(r)); }
    catch (e: any) { console.log("refused  ", name, e.code, e.constraint_name, e.column_name, e.message); }
  };
  const tx = (...s: string[]) => owner.begin(async (q) => { for (const x of s) await q.unsafe(x); });
  await admin`select * from import_users(array[1,2,3,4,5], array['a','b','c','d','e'])`;
  for (let i = 1; i <= 6; i++)
    await admin`select * from create_coupon(${"C" + i}, 'm', 'd', clock_timestamp() - ${i + " days"}::interval, clock_timestamp() + interval '1 day', 10)`;
  const ins = (u: number, c: number, p: number, at = "clock_timestamp()") => `insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position) select ${u}, c.id, t.at, c.expiry, (t.at at time zone 'UTC')::date, ${p} from coupon.coupons c, (select ${at} as at offset 0) t where c.id = ${c}`;
  await go("gap", () => tx("update coupon.coupons set issued = 2 where id = 1", ins(1, 1, 2)));
  await go("id default", () => tx("update coupon.coupons set issued = 5 where id = 2", "update coupon.coupons set id = default where id = 2"));
  await go("legit", () => tx("update coupon.coupons set issued = 1 where id = 3", ins(2, 3, 1)));
  await go("start moved", () => tx("update coupon.coupons set issued = 0 where id = 3", "update coupon.coupons set start_time = clock_timestamp() + interval '1 hour' where id = 3", "update coupon.coupons set issued = 1 where id = 3"));
  await go("stale", () => tx("select 1", "update coupon.coupons set issued = 1 where id = 4", ins(3, 4, 1, "now()")));
  await admin`select * from use_coupon(2, 3, 'r')`;
  await go("fake trace", () => tx("insert into coupon.undone_uses (user_id, coupon_id, used_date, use_reference, reason) values (2, 3, '2000-01-01', 'x', 'y')"));
  await go("truncate trace", () => tx("truncate coupon.undone_uses"));
  await go("2d", () => admin`select * from issue_coupons(5, '{{1,2},{3,4}}')`);
  await go("null element", () => admin`select * from issue_coupons(5, '{1,null}')`);
  await go("2d import", () => admin`select * from import_users('{{1,2},{3,4}}', '{{1,2},{3,4}}')`);
  await go("reconcile", async () => [...(await admin`select * from reconcile()`)]);
  await go("daily", async () => {
    await admin`select * from create_coupon('X1', 'm', 'd', '2030-01-01 20:00Z', '2031-01-01', 10)`;
    await admin`select * from create_coupon('X2', 'm', 'd', '2030-01-02 20:00Z', '2031-01-01', 10)`;
    await admin`select * from create_coupon('X3', 'm', 'd', '2030-01-03 20:00Z', '2031-01-01', 10)`;
    await owner`delete from coupon.coupons where issued = 0 and start_time < now()`;
    return [...(await admin`select * from set_time_zone('Asia/Tokyo')`)];
  });
  // paused while it waited
  const [c] = await admin`select coupon_id from create_coupon('PW', 'm', 'd', clock_timestamp() - interval '50 days', '2031-01-01', 10)`;
  let waiting: Promise<unknown> = Promise.resolve();
  await admin.begin(async (q) => {
    await q`select * from pause_coupon(${c!["coupon_id"]})`;
    waiting = go("paused while waiting", async () => [...(await admin`select * from issue_coupon(5, ${c!["coupon_id"]})`)]);
    for (;;) { const [w] = await owner`select count(*)::int as n from pg_stat_activity where wait_event = 'advisory'`; if (w!["n"] > 0) break; }
  });
  await waiting;
  await d.drop();
});
