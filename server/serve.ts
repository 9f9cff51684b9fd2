/** One process that listens, serves and drains. */
import cluster from "node:cluster";
import { setDefaultAutoSelectFamilyAttemptTimeout } from "node:net";
import { setFlagsFromString } from "node:v8";
import { collectDefaultMetrics } from "prom-client";
import { listenAt } from "./address.ts";
import { startCounting } from "./background/counting.ts";
import { startFilling } from "./background/filling.ts";
import { startFolding } from "./background/folding.ts";
import { compose, type Service } from "./compose.ts";
import { type Env, urlOf } from "./env.ts";
import { metricsOfAll, reportTo } from "./observability/worker-metrics.ts";
import { CONNECT_MS } from "./webhooks/post.ts";

/** From the closing of the port to the end, whatever still runs. */
export const DRAIN_MS = 10_000;
/** Of that, after the last answer, to tell how many asked, what webhooks took and spans, and then for what still runs in the database. */
const CLOSE_MS = 2_000;

/**
 * All objects are made where V8 collects most often. Without it V8 learns from connections that stay, as thousands of watching pages do,
 * that what a request makes lives long, and makes it for all requests where it collects seldom: a grant beside 10,000 pages took 1.2
 * times the CPU, and the process 250 MB more (bench/README.md; findings/v8-pretenures-each-request.sh). Here, because what is compiled
 * before main.ts runs is kept for the next start only where the flags are the same.
 */
const YOUNG = "--no-allocation-site-pretenuring";

/** Returns when it listens; rejects when it can't. */
export async function serve(env: Env): Promise<void> {
  setFlagsFromString(YOUNG);
  setDefaultAutoSelectFamilyAttemptTimeout(CONNECT_MS); // of fetch(), which asks for keys and sends spans
  const service = await compose(env, cluster.isWorker ? { readMetrics: metricsOfAll } : {});
  const { server, log, metrics } = service;
  collectDefaultMetrics({ register: metrics.registry });
  const report = cluster.isWorker ? await reportTo(metrics.registry) : undefined;
  await listenAt(env, server);
  const counting = startCounting(service);
  const finish = (signal: string, delay: number) => end(service, signal, delay, counting, report);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => finish(signal, env.DRAIN_DELAY));
  // The process that started it was killed: the primary process of a worker, and with it the port was closed; or ./sd start.
  process.on("disconnect", () => finish("disconnect", 0));
  const { worker } = cluster;
  // Else Node.js (20.20.2) would end it at that moment, whatever is in flight.
  worker?.on("disconnect", () => {
    worker.exitedAfterDisconnect = true;
  });
  const isDraining = () => service.state.draining;
  startFolding({ ...service, isDraining });
  if (env.WEBHOOKS === "on") service.webhooks.start();
  if (env.FILL_DAYS === "on") startFilling({ ...service, isDraining });
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : env.PORT;
  log.event(cluster.isWorker ? "worker listening" : "listening", {
    url: urlOf(env, port),
    pid: process.pid,
  });
}

/**
 * Drains, without DRAIN_DELAY if nobody can reach it any more, and ends the process. Nothing else is waited for: a connection to a
 * database that fell silent would keep it alive.
 */
async function end(
  { state, drain, hurry, db, log, clock, webhooks, spans }: Service,
  signal: string,
  delay: number,
  counting: ReturnType<typeof startCounting>,
  report = async () => {},
): Promise<void> {
  const endsWithin = (ms: number) =>
    setTimeout(() => {
      log.event("drain deadline passed", { after_ms: ms });
      process.exit(1);
    }, ms).unref();
  if (state.draining) {
    if (signal !== "disconnect") return;
    hurry();
    endsWithin(DRAIN_MS);
    return;
  }
  endsWithin(delay * 1_000 + DRAIN_MS);
  const drained = drain(delay * 1_000);
  log.event("draining", { signal });
  await drained;
  const ended = Promise.all([counting.end(), webhooks.end(), spans?.end()]);
  await Promise.race([ended, new Promise<void>((resolve) => clock.after(CLOSE_MS, resolve))]);
  await db.close(CLOSE_MS);
  await report();
  log.event("stopped");
  process.exit(0);
}
