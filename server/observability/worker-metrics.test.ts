import assert from "node:assert/strict";
import cluster, { type Worker } from "node:cluster";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { Counter, Gauge, Registry } from "prom-client";
import { collectReports, metricsOfAll, reportTo } from "./worker-metrics.ts";

/** As many reads at once as make Node warn of a leak, and one more. */
const READS = 12;

/** prom-client measures it from one reading to the next. */
const LAG = "nodejs_eventloop_lag_max_seconds";

interface Told {
  type: string;
  id: string;
  text?: string;
}

test("reads of the metrics of all workers leave no listener behind, on either side", async (t) => {
  const registry = new Registry();
  new Counter({ name: "told_total", help: "x", registers: [registry] }).inc(3);
  const report = await registry.getMetricsAsJSON();
  const warnings: string[] = [];
  // Of a leak, and not of the mocked timers.
  const warn = ({ name }: Error) => void (name !== "ExperimentalWarning" && warnings.push(name));
  process.on("warning", warn);
  t.after(() => process.off("warning", warn));

  await t.test("the primary process", async () => {
    const answers: Told[] = [];
    let whenAll = () => {};
    const all = new Promise<void>((resolve) => {
      whenAll = resolve;
    });
    let unanswered = READS;
    const questions: Told[] = [];
    const worker = Object.assign(new EventEmitter(), {
      process: { pid: 1 },
      isConnected: () => true,
      send(message: Told) {
        if (message.type === "coupon:report wanted") {
          questions.push(message);
          if (questions.length < READS) return;
          for (const { id } of questions.splice(0))
            cluster.emit("message", worker, { type: "coupon:report", report, id });
        } else {
          answers.push(message);
          unanswered -= 1;
          if (unanswered === 0) whenAll();
        }
      },
    }) as unknown as Worker;
    collectReports();
    cluster.emit("message", worker, { type: "coupon:report", report });
    for (let i = 0; i < READS; i++)
      cluster.emit("message", worker, { type: "coupon:metrics wanted", id: `${i}` });
    assert.equal(worker.listenerCount("disconnect"), 0);
    await all;
    assert.deepEqual(
      answers.map(({ id, text }) => [id, text?.match(/^told_total.*$/m)?.[0]]),
      answers.map((_, i) => [`${i}`, "told_total 3"]),
    );
    assert.equal(worker.listenerCount("disconnect"), 0);
    cluster.emit("disconnect", worker);
  });

  await t.test("the primary process, when a worker goes in place of answering", async () => {
    const [leaves, asks] = [new EventEmitter(), new EventEmitter()];
    Object.assign(leaves, {
      isConnected: () => true,
      send: () => void setImmediate(() => cluster.emit("disconnect", leaves)),
    });
    const answer = new Promise<Told>((send) => Object.assign(asks, { isConnected: () => true, send }));
    cluster.emit("message", leaves, { type: "coupon:report", report });
    cluster.emit("message", asks, { type: "coupon:metrics wanted", id: "a" });
    assert.match((await answer).text ?? "", /^told_total 6$/m);
  });

  await t.test(
    "the primary process, when a worker stands still: the last that it reported counts",
    async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const [still, asks] = [new EventEmitter(), new EventEmitter()];
      let askedAll = () => {};
      const asked = new Promise<void>((resolve) => {
        askedAll = resolve;
      });
      Object.assign(still, { isConnected: () => true, send: askedAll });
      cluster.emit("message", still, { type: "coupon:report", report });
      const read = async () => {
        const answer = new Promise<Told>((send) => Object.assign(asks, { isConnected: () => true, send }));
        cluster.emit("message", asks, { type: "coupon:metrics wanted", id: "s" });
        await asked;
        t.mock.timers.tick(2_000);
        return (await answer).text?.match(/^(told_total|coupon_workers_silent) .*$/gm);
      };
      const before = await read();
      assert.deepEqual(await read(), before);
      // Its report, and those of the two that went before.
      assert.deepEqual(before, ["told_total 9", "coupon_workers_silent 1"]);
      cluster.emit("disconnect", still);
      assert.deepEqual(await read(), ["told_total 9", "coupon_workers_silent 0"]);
    },
  );

  await t.test("the primary process, of what is only told when it asks", async () => {
    const [tells, asks] = [new EventEmitter(), new EventEmitter()];
    const values = [{ labels: {}, value: 0.25 }];
    const lag = { name: LAG, help: "x", type: "gauge", values };
    cluster.emit("message", tells, { type: "coupon:report", report: [...report, lag] });
    cluster.emit("message", tells, { type: "coupon:report", report });
    Object.assign(tells, {
      isConnected: () => true,
      send: ({ id }: Told) => cluster.emit("message", tells, { type: "coupon:report", report, id }),
    });
    const answer = new Promise<Told>((send) => Object.assign(asks, { isConnected: () => true, send }));
    cluster.emit("message", asks, { type: "coupon:metrics wanted", id: "l" });
    assert.match((await answer).text ?? "", new RegExp(`^${LAG} 0.25$`, "m"));
    cluster.emit("disconnect", tells);
  });

  await t.test("a worker", async (t) => {
    const { connected, send } = process;
    t.after(() => Object.assign(process, { connected, send }));
    const questions: Told[] = [];
    const reports: (Told & { report: { name: string }[] })[] = [];
    Object.assign(process, {
      connected: true,
      send(message: Told, _handle: unknown, _options: unknown, sent: () => void) {
        if (message.type === "coupon:metrics wanted") questions.push(message);
        else reports.push(message as (typeof reports)[number]);
        sent();
      },
    });
    let readings = 0;
    new Gauge({
      name: LAG,
      help: "x",
      registers: [registry],
      collect() {
        readings += 1;
      },
    });
    await reportTo(registry);
    const told = () => reports.map(({ id, report }) => [id, report.map(({ name }) => name)]);
    assert.deepEqual([told(), readings], [[[undefined, ["told_total"]]], 0]);
    process.emit("message", { type: "coupon:report wanted", id: "q" }, undefined);
    await new Promise(setImmediate);
    assert.deepEqual([told()[1], readings], [["q", ["told_total", LAG]], 1]);
    const before = process.listenerCount("message");
    const reads = Array.from({ length: READS }, metricsOfAll);
    assert.equal(process.listenerCount("message"), before);
    for (const { id } of questions.toReversed())
      process.emit("message", { type: "coupon:metrics", id, text: id }, undefined);
    assert.deepEqual(
      await Promise.all(reads),
      questions.map(({ id }) => id),
    );
    const failing = metricsOfAll();
    process.emit("message", { type: "coupon:metrics", id: questions.at(-1)?.id, error: "silent" }, undefined);
    await assert.rejects(failing, { message: "silent" });
    assert.equal(process.listenerCount("message"), before);
  });
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
});
