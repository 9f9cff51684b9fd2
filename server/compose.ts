/** Assembles the service. The server, tests, faults, the fuzzer and the benches all use this. */
import type { Server } from "node:http";
import { getRequestListener, RequestError } from "@hono/node-server";
import { createAuthenticate } from "./auth/auth.ts";
import { createDemo } from "./auth/demo.ts";
import { createResolving } from "./auth/resolving.ts";
import { metricsTokenOf } from "./auth/secret.ts";
import { type Clock, systemClock } from "./clock.ts";
import { connectDb } from "./database/functions.ts";
import type { Env } from "./env.ts";
import { createCors } from "./http/cors.ts";
import { createExchanges } from "./http/exchange.ts";
import type { Incoming } from "./http/incoming.ts";
import { createLooks } from "./http/looks.ts";
import { connectionsFor } from "./http/open-files.ts";
import { Problem } from "./http/problem.ts";
import { createRateLimit } from "./http/rate-limit.ts";
import { createHttpServer, LIMITS } from "./http/wire.ts";
import { createIssuing } from "./issuing/issuing.ts";
import type { LaneLimits } from "./issuing/lane.ts";
import { createLog, type Log } from "./observability/log.ts";
import { createMetrics } from "./observability/metrics.ts";
import type { Exporter } from "./observability/otlp.ts";
import { createReadiness, neededFunctions, newestMigration } from "./observability/readiness.ts";
import { createApp, type Dependencies } from "./routes/app.ts";
import { issueBefore } from "./routes/fast.ts";
import { lookBefore } from "./routes/look.ts";
import { respond } from "./routes/operation.ts";
import { createPost, type PostOptions } from "./webhooks/post.ts";
import { createSender } from "./webhooks/sender.ts";

/** Parts that replace the service's own, and options of its own parts. */
export interface Overrides
  extends Partial<
    Pick<Dependencies, "authenticate" | "clock" | "db" | "demoToken" | "maxStreams" | "readiness">
  > {
  createIssuing?: typeof createIssuing;
  database?: Parameters<typeof connectDb>[1];
  lanes?: Partial<LaneLimits>;
  /** The deadline of readiness. Default: its own. */
  readyMs?: number;
  /** How webhooks are sent to. */
  posts?: PostOptions;
  /** Receives the log's lines. Default: stdout. */
  writeLog?: (line: string) => void;
  /** Posts to the collector of traces. Default: fetch(). */
  sendSpans?: typeof fetch;
  /** Reads the metrics of all workers. Default: the metrics of this process. */
  readMetrics?: () => Promise<string>;
}

/** Of its connections: streams of coupons at once. The rest are for those who ask. */
const STREAMS = 3 / 4;

/** How far the process is on its way to its end. */
interface State {
  /** From the signal on: it is not ready. */
  draining: boolean;
  /** From the end of DRAIN_DELAY on: it takes no more connections. */
  closed: boolean;
}

export type Service = Awaited<ReturnType<typeof compose>>;

/** Creates all parts of the service. It does not listen yet and has no database connection open. */
export async function compose(env: Env, overrides: Overrides = {}) {
  const state: State = { draining: false, closed: false };
  const { spans, ...dependencies } = await createParts(env, overrides, state);
  const { clock, db, issuing, log, metrics } = dependencies;
  const post = createPost({
    allowPrivate: env.WEBHOOKS_ALLOW_PRIVATE === "on",
    clock,
    ...overrides.posts,
  });
  const webhooks = createSender({ db, clock, log, post });
  const app = createApp(dependencies);
  const { refuse } = dependencies.exchanges;
  const routes = getRequestListener(app.fetch, { errorHandler: (error) => respond(refuse(toldOf(error))) });
  /** Answers requests, as the server does behind its limits. */
  const listener = issueBefore(lookBefore(routes, dependencies), dependencies);
  /** The same, with the limits of a connection. */
  const server = createHttpServer(listener, refuse, {
    ...LIMITS,
    idleMs: env.KEEP_ALIVE_TIMEOUT * 1_000,
    connections: dependencies.connections,
  });
  const inFlight = countInFlight(server, () => {
    if (state.closed) server.closeAllConnections();
  });
  metrics.watch({
    pools: db.pools,
    commitWaitsFor: db.commitWaitsFor,
    standby: db.standby,
    issuing,
    log,
    webhooks: webhooks.figures,
    inFlight,
    streams: app.streams,
    spans,
  });

  let goOn = () => {};
  /** Ends the wait of drain(): nobody sends requests any more. */
  const hurry = () => goOn();

  /**
   * At first only says that it is not ready, for DRAIN_DELAY: until load balancers know that, they go on sending requests. Then
   * closes the port and idle connections at once, and busy ones after their answer, which says Connection: close. Resolves when all
   * are closed. Calls that still run in the database continue: db.close() waits for them.
   */
  async function drain(delayMs = env.DRAIN_DELAY * 1_000): Promise<void> {
    state.draining = true;
    if (delayMs > 0)
      await new Promise<void>((resolve) => {
        goOn = resolve;
        dependencies.clock.after(delayMs, resolve);
      });
    state.closed = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    app.endStreams();
    server.closeIdleConnections();
    // closeIdleConnections() of Node.js (20.20.2, 24.22.3) skips connections that never sent a complete head (nodejs/node#63452), and after
    // close() no timeout ends those.
    if (inFlight() === 0) server.closeAllConnections();
    await closed;
  }

  return { ...dependencies, dependencies, spans, state, app, listener, server, drain, hurry, webhooks };
}

async function createParts(
  env: Env,
  overrides: Overrides,
  state: State,
): Promise<Dependencies & { spans: Exporter | undefined }> {
  const isDraining = () => state.draining;
  const { clock = systemClock } = overrides;
  const log = createLog(env.LOG_LEVEL, overrides.writeLog, clock);
  const metrics = createMetrics({ token: metricsTokenOf(env), read: overrides.readMetrics });
  const db =
    overrides.db ?? connectDb(databaseUrlOf(env), { readUrl: env.READ_DATABASE_URL, ...overrides.database });
  db.standby?.onChange((reason) => log.event("standby", reason ? { left: reason } : { read: "on" }));
  const cors = createCors(env.CORS_ORIGINS);
  const tracing = await tracingOf(env, overrides, clock, log);
  const rateLimit = createRateLimit(env.RATE_LIMIT, clock);
  const connections = connectionsFor(LIMITS.connections);
  return {
    clock,
    db,
    issuing: (overrides.createIssuing ?? createIssuing)(db, overrides.lanes, metrics.batch, clock),
    authenticate:
      overrides.authenticate ??
      (await createAuthenticate(env, log.failure, {
        resolve: createResolving(db, clock),
        revokedKeys: () => db.revokedKeys(),
        clock,
      })),
    cors,
    demoToken: overrides.demoToken ?? createDemo(env, clock),
    log,
    looks: createLooks({ clock, isPublic: env.PUBLIC_OFFERS === "on" }),
    metrics,
    exchanges: createExchanges({ clock, log, metrics, cors, rateLimit, isDraining, tracer: tracing?.tracer }),
    isClosed: () => state.closed,
    connections,
    maxStreams: overrides.maxStreams ?? Math.floor(connections * STREAMS),
    readiness:
      overrides.readiness ??
      createReadiness({
        db,
        isDraining,
        newestMigration: await newestMigration(),
        needed: await neededFunctions(),
        answerMs: overrides.readyMs,
        clock,
      }),
    spans: tracing?.exporter,
  };
}

/** What exports spans, where a collector is named. Otherwise none of it is loaded. */
async function tracingOf(env: Env, { sendSpans }: Overrides, clock: Clock, log: Log) {
  const endpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return undefined;
  const { createTracing } = await import("./observability/tracing.ts");
  return createTracing(env, endpoint, clock, log.failure, sendSpans);
}

function databaseUrlOf({ API_DATABASE_URL: url }: Env): string {
  if (!url)
    throw new Error("API_DATABASE_URL is not set: start with ./sd start, or give the server its login");
  return url;
}

/** Turns an error of the adapter, which could not read the request, into a problem. */
function toldOf(error: unknown): unknown {
  if (!(error instanceof RequestError)) return error;
  return new Problem("invalid_request", { detail: "The target is not valid." });
}

/** Counts requests in flight. Calls `whenNone` each time the count returns to 0. */
function countInFlight(server: Server<typeof Incoming>, whenNone: () => void): () => number {
  let inFlight = 0;
  const left = () => {
    inFlight -= 1;
    if (inFlight === 0) whenNone();
  };
  server.on("request", (_, response) => {
    inFlight += 1;
    response.once("close", left);
  });
  return () => inFlight;
}
