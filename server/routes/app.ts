/** The routes. The contract says what each takes and who may call it; here stands what it does: one call, and its answer. */
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import { COUPONS_OF_PAGE } from "../api/requests.ts";
import type { Authenticate } from "../auth/auth.ts";
import type { DemoToken } from "../auth/demo.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import { issueAnswer } from "../http/answer.ts";
import { refuseOtherMedia } from "../http/body.ts";
import type { Cors } from "../http/cors.ts";
import type { Exchange, Exchanges } from "../http/exchange.ts";
import { bearerOf, headerOf, LINES_TYPE } from "../http/headers.ts";
import { importLines } from "../http/lines.ts";
import type { Looks } from "../http/looks.ts";
import { createPlaces } from "../http/places.ts";
import { Problem } from "../http/problem.ts";
import { type Bindings, type Ctx, header } from "../http/request.ts";
import type { Issuing } from "../issuing/issuing.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import { actorOf, actsFor, noteOf, undoOf } from "./caller.ts";
import { addEvents } from "./events.ts";
import { readsFor } from "./freshness.ts";
import { addGroups } from "./groups.ts";
import { createGuesses } from "./guesses.ts";
import { addKeys } from "./keys.ts";
import { lines } from "./list.ts";
import { type App, createOperations, type Operations, respond } from "./operation.ts";
import { addPages } from "./pages.ts";
import { addPlan } from "./plan.ts";
import { createStates, type States } from "./states.ts";
import { addSubjects } from "./subjects.ts";
import { addWebhooks } from "./webhooks.ts";

export interface Dependencies {
  clock: Clock;
  db: Db;
  issuing: Issuing;
  authenticate: Authenticate;
  cors: Cors;
  demoToken: DemoToken;
  exchanges: Exchanges;
  log: Log;
  looks: Looks;
  metrics: Metrics;
  /** True from the moment that the process takes no more connections. */
  isClosed: () => boolean;
  /** At once, of this process: connections, and streams of coupons. */
  connections: number;
  maxStreams: number;
  /** Throws the problem that keeps this server from serving. */
  readiness: () => Promise<void>;
}

/** Characters of a path that the log and spans have: what is no path of ours may be as long as the head of a request. */
const MAX_PATH = 1_000;

/** Streams of operators. */
const MAX_STATUS_STREAMS = 50;

export function createApp(parts: Dependencies) {
  const { clock, cors, exchanges, metrics } = parts;
  const app: App = new Hono<{ Bindings: Bindings }>();
  app.onError((error, c) => respond(exchanges.failed(c.env.exchange, error)));
  app.notFound((c) => respond(exchanges.failed(c.env.exchange, new Problem("no_such_route"))));

  const operations = createOperations(app, parts);
  const states = createStates(parts);
  addReports(operations, parts); // before /coupons/{coupon_id}, which /coupons/list would match
  addCoupons(operations, states, parts);
  addClaims(operations, parts);
  addChanges(operations, parts);
  addPlan(operations, parts);
  const events = addEvents(operations, parts);
  addGroups(operations, parts);
  addWebhooks(operations, parts);
  addSubjects(operations, parts);
  addKeys(operations, parts);
  addUsers(operations, parts);
  addHealth(operations, parts);
  addPages(app, exchanges);
  app.get("/metrics", async (c) => {
    exchanges.matched(c.env.exchange, "/metrics");
    return respond(await metrics.scrape(header(c, "authorization"), c.env.exchange.requestId));
  });

  /** Around the router, not as its middleware: the promises of a middleware cost a fifth of a refusal. */
  function fetch(request: Request, env: Partial<Bindings> = {}): Response | Promise<Response> {
    const { method, headers, url } = request;
    const given = env.incoming?.rawHeaders ?? headers;
    const path = new URL(url).pathname.slice(0, MAX_PATH);
    const exchange = exchanges.begin(clock.now(), method, path, given);
    const answer =
      method === "OPTIONS" && headerOf(given, "access-control-request-method") !== undefined
        ? new Response(null, { status: 204, headers: cors.preflight(headerOf(given, "origin")) })
        : app.fetch(request, Object.assign(env, { exchange }));
    return answer instanceof Promise
      ? answer.then((response) => finish(exchange, response))
      : finish(exchange, answer);
  }

  function finish(exchange: Exchange, response: Response): Response {
    if (response === RESPONSE_ALREADY_SENT) return response;
    const headers: Record<string, string> = {};
    exchanges.end(exchange, response.status, headers);
    for (const name in headers) response.headers.set(name, headers[name] as string);
    return response;
  }

  return {
    fetch,
    routes: app.routes,
    /** Streams that are open. */
    streams: () => states.coupons.watchers() + states.status.watchers() + events.watchers(),
    /** Ends all event streams. */
    endStreams() {
      states.coupons.end();
      states.status.end();
      events.end();
    },
  };
}

/** Coupons for whoever wants one. */
function addCoupons(
  { on, command, read, look, stream }: Operations,
  states: States,
  { authenticate, db, exchanges, issuing, maxStreams }: Dependencies,
): void {
  const isTold = ([name, value]: [string, unknown]) =>
    value !== undefined && !(name === "page_size" && value === COUPONS_OF_PAGE);
  const listAt = (path: string) => (asked: { query: object }) => {
    const told = Object.entries(asked.query).filter(isTold);
    return told.length === 0 ? path : `${path}?${told.map((pair) => pair.join("=")).join("&")}`;
  };
  look("liveCoupons", listAt("/coupons/live"), ({ query }) => db.liveCoupons(query));
  look("upcomingCoupons", listAt("/coupons/upcoming"), ({ query }) => db.upcomingCoupons(query));
  read("findCouponByCode", ({ c, query }) => readsFor(c, db).findCoupon(query));

  stream("watchCoupons", states.coupons, createPlaces("streams", maxStreams));
  read("couponStatus", ({ c }) => states.readStatus(readsFor(c, db)));
  stream("watchStatus", states.status, createPlaces("streams", MAX_STATUS_STREAMS));
  look(
    "findCoupon",
    ({ path }) => `/coupons/${path.coupon_id}`,
    ({ path }) => db.findCoupon(path),
  );

  on("issueCoupon", async ({ c, who, path: { coupon_id }, body }) => {
    const issue = await issuing.issue(coupon_id, actsFor(who, body.user_id), (listener) =>
      c.env.outgoing?.once("close", listener),
    );
    exchanges.granted(c.env.exchange, coupon_id, issue);
    if (issue.outcome === "user_not_found" && who.role === "user")
      authenticate.forget?.(bearerOf(header(c, "authorization")) as string);
    return respond(issueAnswer(coupon_id, issue, c.env.exchange.requestId));
  });

  command("useCoupon", async ({ who, path: { coupon_id }, body: { reference, ...body } }) => {
    const user_id = actsFor(who, body.user_id);
    return { user_id, ...(await db.useCoupon(user_id, coupon_id, reference, actorOf(who))) };
  });
}

/** What a till does. Whoever only guesses has to wait. */
function addClaims({ command }: Operations, { db, clock }: Dependencies): void {
  const guesses = createGuesses(clock);

  command("useClaim", ({ who, body: { claim_code, reference } }) =>
    guesses.of(who, () => db.useClaim(claim_code, reference, actorOf(who))),
  );

  command("undoClaim", ({ who, body: { claim_code, ...undo } }) =>
    guesses.of(who, () => db.undoClaim(claim_code, undoOf(who, undo))),
  );
}

/** What operators look up. */
function addReports({ read }: Operations, { db }: Dependencies): void {
  read("listCoupons", ({ c, query }) => readsFor(c, db).listCoupons(query));

  read("couponStats", async ({ c, path: { coupon_id } }) => {
    const stats = await readsFor(c, db).couponStats(coupon_id);
    return stats && { coupon_id, ...stats };
  });

  read("couponTimeline", async ({ c, path: { coupon_id }, query }) => {
    const buckets = await readsFor(c, db).couponTimeline(coupon_id, query);
    const isThere = buckets.length > 0 || (await db.findCoupon({ coupon_id }));
    return isThere && { coupon_id, bucket: query.bucket, buckets };
  });

  read("dailySummary", async ({ c, query: { first_day = null, last_day = null } }) => ({
    days: await readsFor(c, db).dailySummary(first_day, last_day),
  }));

  read("auditTrail", ({ c, query }) => readsFor(c, db).auditTrail(query));
}

/** What operators do with coupons. */
function addChanges({ command }: Operations, { db }: Dependencies): void {
  command("createCoupon", ({ who, body: { reason, ...coupon } }) =>
    db.createCoupon(coupon, noteOf(who, reason)),
  );

  command("undoUse", async ({ who, path: { coupon_id }, body: { user_id, ...undo } }) => ({
    user_id,
    ...(await db.undoUse(user_id, coupon_id, undoOf(who, undo))),
  }));

  command("pauseCoupon", ({ who, path: { coupon_id }, body: { reason } }) =>
    db.pauseCoupon(coupon_id, noteOf(who, reason)),
  );

  command("resumeCoupon", ({ who, path: { coupon_id }, body: { reason } }) =>
    db.resumeCoupon(coupon_id, noteOf(who, reason)),
  );

  command("setCouponCount", ({ who, path: { coupon_id }, body: { count, reason } }) =>
    db.setCouponCount(coupon_id, count, noteOf(who, reason)),
  );

  command("setCouponExpiry", ({ who, path: { coupon_id }, body: { expiry, reason } }) =>
    db.setCouponExpiry(coupon_id, expiry, noteOf(who, reason)),
  );

  command("setCouponStart", ({ who, path: { coupon_id }, body: { start_time, reason } }) =>
    db.setCouponStart(coupon_id, start_time, noteOf(who, reason)),
  );

  command("editCoupon", ({ who, path: { coupon_id }, body: { reason, ...coupon } }) =>
    db.editCoupon(coupon_id, coupon, noteOf(who, reason)),
  );

  command("retireCoupons", ({ who, body: { before, at_most, reason } }) =>
    db.retireCoupons(before, at_most, noteOf(who, reason)),
  );

  command("withdrawCoupon", ({ who, path: { coupon_id }, body: { reason } }) =>
    db.withdrawCoupon(coupon_id, noteOf(who, reason)),
  );
}

function addUsers({ on, command, read, list }: Operations, { db, exchanges, isClosed }: Dependencies): void {
  const toProblem = (c: Ctx) => (error: unknown) => exchanges.problemOf(c.env.exchange, error);

  read("wallet", async ({ c, who, path, query: { before, page_size } }) => {
    const user_id = actsFor(who, path.user_id);
    const coupons = await readsFor(c, db).wallet(user_id, before ?? null, page_size);
    const next_before = coupons.length === page_size ? (coupons.at(-1)?.issued_on ?? null) : null;
    return { user_id, coupons, next_before };
  });

  command("forgetUser", ({ who, path: { user_id }, body: { reason } }) =>
    db.forgetUser(user_id, noteOf(who, reason)),
  );

  read("importUsers", async ({ who, body: { users, reason } }) => ({
    users: await db.importUsers(users, noteOf(who, reason)),
  }));

  on("importUserLines", ({ c, who, query: { reason } }) => {
    refuseOtherMedia(c, LINES_TYPE, "application/x-ndjson");
    const importUsers = (users: Parameters<Db["importUsers"]>[0]) =>
      db.importUsers(users, noteOf(who, reason));
    const input = c.req.raw.body ?? ReadableStream.from([]);
    return lines(c, importLines(input, importUsers, { isDraining: isClosed, toProblem: toProblem(c) }));
  });

  list("listUsers", ({ c, query: { after } }) => ({
    page: (from, size) => readsFor(c, db).listUsers(from, size),
    keyOf: ({ user_id }) => user_id,
    after,
  }));

  list("listGrants", async ({ c, path: { coupon_id }, query: { after } }) => {
    if ((await db.findCoupon({ coupon_id })) === undefined) throw new Problem("coupon_not_found");
    return {
      page: (from, size) => readsFor(c, db).listGrants(coupon_id, from, size),
      keyOf: ({ position }) => position,
      after,
    };
  });
}

/** Probes, and the tokens of the demo. */
function addHealth({ read }: Operations, { demoToken, readiness }: Dependencies): void {
  const signerFor = (c: Ctx) => {
    const sign = demoToken(header(c, "authorization"));
    if (sign === undefined) throw new Problem("no_such_route");
    return sign;
  };
  read(
    "demoToken",
    ({ c, body: { role, user_id } }) => ({
      token: signerFor(c)({ role, subject: role === "user" ? `${user_id}` : "demo" }),
    }),
    signerFor, // where there is no demo there is no such route, whatever the body
  );

  read("livez", () => ({ status: "ok" as const }));

  read("readyz", async () => {
    await readiness();
    return { status: "ok" as const };
  });
}
