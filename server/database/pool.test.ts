import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { bound } from "../../bench/harness/app.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { until } from "../../bench/harness/waiting.ts";
import { targetOf } from "../../db/target.ts";
import { READ_ONLY } from "./errors.ts";
import { connectDb } from "./functions.ts";
import { createPool } from "./pool.ts";

test("a database that takes no writes is asked after growing pauses; once it was fit, after the first one again", async (t) => {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  const writes = (how: "on" | "off") =>
    bound(scratch, `default_transaction_read_only = ${how === "on" ? "off" : "on"}`);
  t.mock.method(Math, "random", () => 0.25);
  const expected = [31.25, 62.5, 125, 250, 500, 625, 625];
  const pauses: number[] = [];
  const later = setTimeout;
  // Each of them is over at once.
  t.mock.method(globalThis, "setTimeout", (then: () => void, ms: number, ...args: []) => {
    if (!expected.includes(ms)) return later(then, ms, ...args);
    pauses.push(ms);
    return later(then, 0);
  });
  const call = createPool({ target: targetOf(scratch.apiUrl), hosts: undefined }, 2, "writes");
  t.after(() => call.close(1_000));
  const ask = () => call((sql) => sql`select 1 as one`);

  await writes("off");
  await until(async () => {
    await assert.rejects(ask(), { kind: "unavailable", sqlstate: READ_ONLY });
    return pauses.length === 7;
  }, "it is asked seven times");
  assert.deepEqual(pauses, expected);
  await writes("on");
  await until(
    () =>
      ask().then(
        () => true,
        () => false,
      ),
    "it is fit",
  );
  assert.equal(pauses.length, 7);
  await writes("off");
  call.renew();
  await assert.rejects(ask(), { sqlstate: READ_ONLY });
  assert.equal(pauses.at(-1), 31.25);
});

for (const when of ["are asked", "were found fit"] as const)
  test(`sessions that are replaced while they ${when}: the call is run on the next ones`, async (t) => {
    const scratch = await scratchDatabase();
    t.after(() => scratch.drop());
    let replaced = 0;
    const replace = () => {
      if (replaced === 0) call.renew();
      replaced += 1;
    };
    const signals = {
      lost() {},
      readOnly() {},
      stalled() {},
      commits: () => void (when === "were found fit" && replace()),
    };
    const call = createPool({ target: targetOf(scratch.apiUrl), hosts: undefined }, 1, "writes", signals);
    t.after(() => call.close(1_000));
    const asked = call((sql) => sql`select 1 as one`);
    if (when === "are asked") replace();
    assert.deepEqual([...(await asked)], [{ one: 1 }]);
    assert.ok(replaced > 0);
    assert.equal(call.figures.errors.unavailable, 0);
  });

for (const sslmode of ["disable", "require"] as const)
  test(`sslmode=${sslmode}: a host that does not answer in time is named, with its port`, async (t) => {
    const { host, url } = await silentHost(t, sslmode === "require");
    const target = targetOf(`${url}?connect_timeout=1&sslmode=${sslmode}`);
    const call = createPool({ target, hosts: undefined }, 1, "writes");
    t.after(() => call.close(0));
    await assert.rejects(
      call((sql) => sql`select 1`),
      { kind: "unavailable", sqlstate: "CONNECT_TIMEOUT", message: `write CONNECT_TIMEOUT ${host}` },
    );
  });

/** Says yes to who asks for TLS, and nothing else. */
async function silentHost(t: TestContext, hasTls: boolean): Promise<{ host: string; url: string }> {
  const clients: Socket[] = [];
  const server = createServer((client) => {
    clients.push(client.on("error", () => {}).once("data", () => void (hasTls && client.write("S"))));
  });
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { host, url: `postgres://shop:p@${host}/shop` };
}

/** A server's calls, and a database that lets them wait for a lock for long. */
async function openPatient(t: TestContext) {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  for (const limit of ["lock_timeout", "statement_timeout"]) await bound(scratch, `${limit} = '120s'`);
  const db = connectDb(scratch.apiUrl, { callMs: 120_000 });
  t.after(() => db.close(1_000));
  return { scratch, db };
}

test("a user's wallet stands behind no report, however many there are and however long they take", async (t) => {
  const { scratch, db } = await openPatient(t);
  const { report } = db.pools;
  let reports: Promise<object>[] = [];
  await scratch.owner.begin(async (session) => {
    await session`lock table coupon.audit in access exclusive mode`;
    reports = Array.from({ length: 4 }, () => db.auditTrail({ page_size: 1 }));
    for (const one of reports) one.catch(() => {});
    await until(() => report.running + report.waiting === 4);
    assert.deepEqual([report.running, report.waiting], [2, 2]);
    assert.equal((await db.wallet(7, null, 1)).length, 0);
  });
  await Promise.allSettled(reports);
  assert.deepEqual([report.running, report.waiting], [0, 0]);
});

test("readiness stands behind no read: it is answered while all their connections are taken", async (t) => {
  const { scratch, db } = await openPatient(t);
  const { report } = db.pools;
  let wallets: Promise<object>[] = [];
  await scratch.owner.begin(async (session) => {
    await session`lock table coupon.user_coupons in access exclusive mode`;
    wallets = Array.from({ length: 4 }, () => db.wallet(7, null, 1));
    for (const one of wallets) one.catch(() => {});
    await until(() => report.running + report.waiting === 4);
    assert.ok((await db.schemaVersion()).migration);
    assert.deepEqual([report.running, report.waiting], [3, 1]);
  });
  await Promise.allSettled(wallets);
});
