/**
 * WORKERS processes behind one port. Each has lanes, leases and connections of its own, as servers on different machines have. A worker
 * that dies is replaced.
 */
import cluster, { type Worker } from "node:cluster";
import { randomUUID } from "node:crypto";
import { on, once } from "node:events";
import { AggregatorRegistry } from "prom-client";
import type { Env } from "./env.ts";
import { createLog } from "./observability/log.ts";

/** Before a worker that died is replaced, ms: one that dies at once must not keep the machine busy. */
const REPLACE_MS = 1_000;
/** For the metrics of all workers, ms; prom-client gives each worker 5 s, and Prometheus waits for 10. */
const METRICS_MS = 6_000;
const METRICS = "coupon:metrics";

/** Returns when all have ended; the exit status says whether each ended as it should. */
export async function runWorkers(env: Env): Promise<void> {
  const log = createLog(env.LOG_LEVEL);
  let draining = false;
  let failed = false;

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      if (draining) return;
      draining = true;
      log.event("draining", { signal });
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGTERM");
    });

  tellMetrics();

  // One first: if it can't listen it says why, once.
  const first = cluster.fork();
  const port = await listening(first);
  if (port === undefined) process.exit(1);
  const workers = [first, ...Array.from({ length: env.WORKERS - 1 }, () => cluster.fork())];
  await Promise.all(workers.slice(1).map(listening));
  log.event("listening", { url: `http://${env.HOST}:${port}`, pid: process.pid, workers: env.WORKERS });
  await Promise.all(workers.map(keepUp));
  log.event("stopped");
  process.exit(failed ? 1 : 0);

  async function keepUp(first: Worker): Promise<void> {
    for (let worker = first; ; worker = cluster.fork()) {
      const how = await ended(worker);
      if (draining) {
        failed ||= how !== 0;
        return;
      }
      log.event("worker died", { pid: worker.process.pid, how });
      await new Promise((resolve) => setTimeout(resolve, REPLACE_MS));
      if (draining) return;
    }
  }
}

/** In the primary: tells a worker that asks what all workers count together. */
function tellMetrics(): void {
  const all = new AggregatorRegistry();
  cluster.on("message", async (worker, { type, id }) => {
    if (type !== METRICS) return;
    const answer = await all.clusterMetrics().then(
      (text) => ({ text }),
      (error: Error) => ({ error: error.message }),
    );
    if (worker.isConnected()) worker.send({ type, id, ...answer });
  });
}

/** In a worker: what all workers count together, by the primary. Rejects when one of them doesn't answer. */
export async function metricsOfAll(): Promise<string> {
  const asked = randomUUID();
  process.send?.({ type: METRICS, id: asked });
  for await (const [{ type, id, text, error }] of on(process, "message", {
    signal: AbortSignal.timeout(METRICS_MS),
  })) {
    if (type !== METRICS || id !== asked) continue;
    if (error === undefined) return text;
    throw new Error(error);
  }
  throw new Error("no answer from the primary process");
}

/** The port, or undefined when it ended first. */
async function listening(worker: Worker): Promise<number | undefined> {
  return Promise.race([
    once(worker, "listening").then(([address]) => address.port as number),
    once(worker, "exit").then(() => undefined),
  ]);
}

/** Its exit status or the signal that ended it. */
async function ended(worker: Worker): Promise<number | string> {
  if (!worker.isDead()) await once(worker, "exit");
  return worker.process.signalCode ?? worker.process.exitCode ?? 0;
}
