/** One process that listens, serves and drains. */
import cluster from "node:cluster";
import { getRequestListener, RequestError } from "@hono/node-server";
import { AggregatorRegistry, collectDefaultMetrics } from "prom-client";
import { createAuthenticate } from "./auth/auth.ts";
import { createDemo } from "./auth/demo.ts";
import { connectDb } from "./database/functions.ts";
import type { Env } from "./env.ts";
import { createCors } from "./http/cors.ts";
import { asProblem, Problem } from "./http/problem.ts";
import { createRateLimit } from "./http/rate-limit.ts";
import { createHttpServer, createRefuse } from "./http/wire.ts";
import { createIssuing } from "./issuing/issuing.ts";
import { createLog } from "./observability/log.ts";
import { createMetrics } from "./observability/metrics.ts";
import { createReadiness, newestMigration } from "./observability/readiness.ts";
import { createApp } from "./routes/app.ts";
import { issueBefore } from "./routes/fast.ts";
import { metricsOfAll } from "./workers.ts";

/** From the signal to the end, whatever still runs. */
const DRAIN_MS = 10_000;

/** Returns when it listens; rejects when it can't. */
export async function serve(env: Env): Promise<void> {
  const url = env.API_DATABASE_URL;
  if (!url)
    throw new Error("API_DATABASE_URL is not set: start with ./sd start, or give the server its login");
  const log = createLog(env.LOG_LEVEL);
  const metrics = createMetrics({
    token: env.METRICS_TOKEN,
    ...(cluster.isWorker ? { read: metricsOfAll } : {}),
  });
  const db = metrics.counted(connectDb(url));
  const issuing = createIssuing(db);
  let draining = false;
  let inFlight = 0;
  const isDraining = () => draining;
  const dependencies = {
    db,
    issuing,
    authenticate: await createAuthenticate(env, log.failure),
    cors: createCors(env.CORS_ORIGINS),
    demoToken: createDemo(env),
    log,
    metrics,
    rateLimit: createRateLimit(env.RATE_LIMIT),
    isDraining,
    readiness: createReadiness({ db, isDraining, newestMigration: await newestMigration() }),
  };
  collectDefaultMetrics({ register: metrics.registry });
  if (cluster.isWorker) {
    AggregatorRegistry.setRegistries(metrics.registry);
    new AggregatorRegistry(); // listens for the primary's question
  }
  const app = createApp(dependencies);
  metrics.watch({ pools: db.pools, issuing, log, inFlight: () => inFlight, streams: app.streams });
  const refuse = createRefuse(dependencies);
  const errorHandler = (error: unknown) => {
    const isRequests = error instanceof RequestError;
    if (!isRequests) log.failure(error);
    const why = isRequests
      ? new Problem("invalid_request", { detail: "The target or the Host header is not valid." })
      : asProblem(error);
    const { text, ...sent } = refuse(why);
    return new Response(text, sent);
  };
  const server = createHttpServer(
    issueBefore(getRequestListener(app.fetch, { errorHandler }), dependencies),
    refuse,
  );

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: env.PORT, host: env.HOST, backlog: 4096 }, resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : env.PORT;
  // closeIdleConnections() leaves those that never sent a whole head, and after close() no timeout of Node's ends them.
  const closeUnused = () => {
    if (draining && inFlight === 0) server.closeAllConnections();
  };
  server.on("request", (_, response) => {
    inFlight += 1;
    response.once("close", () => {
      inFlight -= 1;
      closeUnused();
    });
  });

  const drain = (signal: string) => {
    if (draining) return;
    draining = true;
    setTimeout(() => {
      log.event("drain deadline passed", { after_ms: DRAIN_MS });
      process.exit(1);
    }, DRAIN_MS).unref();
    // Idle connections end now, busy ones with their answer, which says Connection: close. At the end nothing is waited
    // for: a connection to a database that fell silent would keep the process alive.
    server.close(async () => {
      await db.close(2_000);
      log.event("stopped");
      process.exit(0);
    });
    app.endStreams();
    server.closeIdleConnections();
    closeUnused();
    log.event("draining", { signal });
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => drain(signal));
  // A worker whose primary process was killed.
  process.on("disconnect", () => drain("disconnect"));
  log.event(cluster.isWorker ? "worker listening" : "listening", {
    url: `http://${env.HOST}:${port}`,
    pid: process.pid,
  });
}
