/**
 * WORKERS processes behind one port. Each has lanes, leases and connections of its own, as servers on different machines have. A worker
 * that dies is replaced.
 */
import cluster, { type Worker } from "node:cluster";
import { getSystemErrorName } from "node:util";
import { type Env, urlOf } from "./env.ts";
import { createLog } from "./observability/log.ts";
import { collectReports } from "./observability/worker-metrics.ts";

/** Before a worker that died is replaced, ms: one that dies at once must not keep the machine busy. */
const REPLACE_MS = 1_000;

/** What ends the process in order. A worker that does not listen yet is ended by them at once. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Returns when all have ended; the exit status says whether each ended as it should. */
export async function runWorkers(env: Env): Promise<void> {
  const log = createLog(env.LOG_LEVEL);
  let draining = false;
  let failed = false;

  const drain = (signal: string, tell: (worker: Worker) => void) => {
    if (!draining) log.event("draining", { signal });
    draining = true;
    for (const worker of Object.values(cluster.workers ?? {})) if (worker) tell(worker);
  };
  for (const signal of SIGNALS)
    process.on(signal, () => drain(signal, (worker) => worker.process.kill("SIGTERM")));
  // ./sd start, which started this, was killed: as if this process was.
  process.on("disconnect", () =>
    drain("disconnect", (worker) => worker.isConnected() && worker.process.disconnect()),
  );

  collectReports();

  // One first: if it can't listen it says why, once.
  const first = cluster.fork();
  const port = await listening(first);
  if (first.process.pid === undefined) throw new Error(`no worker can be started: ${await ended(first)}`);
  if (port === undefined) process.exit(draining ? 0 : 1);
  const workers = [first, ...Array.from({ length: draining ? 0 : env.WORKERS - 1 }, () => cluster.fork())];
  await Promise.all(workers.slice(1).map(listening));
  log.event("listening", { url: urlOf(env, port), pid: process.pid, workers: env.WORKERS });
  await Promise.all(workers.map(keepUp));
  log.event("stopped");
  process.exit(failed ? 1 : 0);

  async function keepUp(first: Worker): Promise<void> {
    for (let worker = first; ; worker = cluster.fork()) {
      const how = await ended(worker);
      if (draining) {
        failed ||= how !== 0 && !SIGNALS.includes(`${how}`);
        return;
      }
      log.event(how === 0 ? "worker ended" : "worker died", { pid: worker.process.pid, how });
      await new Promise((resolve) => setTimeout(resolve, REPLACE_MS));
      if (draining) return;
    }
  }
}

/** The port, or undefined when it ended first. */
function listening(worker: Worker): Promise<number | undefined> {
  return new Promise((resolve) => {
    worker.once("listening", ({ port }) => resolve(port));
    void ended(worker).then(() => resolve(undefined));
  });
}

/** Its exit status, or the signal that ended it; where no process could be started, why. */
function ended(worker: Worker): Promise<number | string> {
  return new Promise((resolve) => {
    const tell = () => {
      const { signalCode, exitCode } = worker.process;
      resolve(
        signalCode ?? (exitCode !== null && exitCode < 0 ? getSystemErrorName(exitCode) : (exitCode ?? 0)),
      );
    };
    if (worker.isDead()) tell();
    worker.once("exit", tell);
    // Of one that was just killed it says that it cannot be told anything any more: its exit follows.
    worker.on("error", () => {
      if (worker.isDead()) tell();
    });
  });
}
