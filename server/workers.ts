/**
 * WORKERS processes behind one port. Each has lanes, leases and connections of its own, as servers on different machines have. A worker
 * that dies is replaced.
 */
import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { type Env, urlOf } from "./env.ts";
import { createLog } from "./observability/log.ts";
import { collectReports } from "./observability/worker-metrics.ts";

/** Before a worker that died is replaced, ms: one that dies at once must not keep the machine busy. */
const REPLACE_MS = 1_000;

/** Returns when all have ended; the exit status says whether each ended as it should. */
export async function runWorkers(env: Env): Promise<void> {
  const log = createLog(env.LOG_LEVEL);
  let draining = false;
  let failed = false;

  // The last: ./sd start, which started this, was killed.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const)
    process.on(signal as NodeJS.Signals, () => {
      if (draining) return;
      draining = true;
      log.event("draining", { signal });
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGTERM");
    });

  collectReports();

  // One first: if it can't listen it says why, once.
  const first = cluster.fork();
  const port = await listening(first);
  if (port === undefined) process.exit(1);
  const workers = [first, ...Array.from({ length: env.WORKERS - 1 }, () => cluster.fork())];
  await Promise.all(workers.slice(1).map(listening));
  log.event("listening", { url: urlOf(env, port), pid: process.pid, workers: env.WORKERS });
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
      log.event(how === 0 ? "worker ended" : "worker died", { pid: worker.process.pid, how });
      await new Promise((resolve) => setTimeout(resolve, REPLACE_MS));
      if (draining) return;
    }
  }
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
