/**
 * The routes. What each takes and who may call it stands in the contract; here is what it does: one call, and its answer.
 */
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { Caller } from "../api/caller.ts";
import {
  type AnswerOf,
  type CommandName,
  type CommandOf,
  contract,
  type FeedName,
  type Given,
  type Operation,
  type OperationName,
} from "../api/contract.ts";
import type { Outcome } from "../api/outcomes.ts";
import { nothing } from "../api/schemas.ts";
import type { Authenticate } from "../auth/auth.ts";
import type { DemoToken } from "../auth/demo.ts";
import type { Db, Note } from "../database/functions.ts";
import { commandAnswer, issueAnswer, problem, type Sent, success } from "../http/answer.ts";
import type { Cors } from "../http/cors.ts";
import { etagOf, isNamed } from "../http/etag.ts";
import { createFeed, type Feed } from "../http/feed.ts";
import { bearerOf, headerOf, LINES_TYPE, requestIdOf, type Trace, traceOf } from "../http/headers.ts";
import { exportLines, importLines } from "../http/lines.ts";
import { createPlaces, type Places } from "../http/places.ts";
import { asProblem, Problem } from "../http/problem.ts";
import { type RateLimit, rateLimitHeaders, type Verdict } from "../http/rate-limit.ts";
import { bodyOf, header, parsed, queryOf } from "../http/request.ts";
import { createShared } from "../http/shared.ts";
import type { Issuing } from "../issuing/issuing.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import { createPages, pages } from "./pages.ts";

export interface Dependencies {
  db: Db;
  issuing: Issuing;
  authenticate: Authenticate;
  cors: Cors;
  log: Log;
  metrics: Metrics;
  rateLimit: RateLimit;
  demoToken: DemoToken;
  /** True from the moment that the process wants to end. */
  isDraining: () => boolean;
  /** Throws the problem that keeps this server from serving. */
  readiness: () => Promise<void>;
}

/**
 * What comes with a request: its id; once that is known, which route answers it and what its user may still send; and Node's
 * request and response, which a test that calls the app itself hasn't got.
 */
export type Bindings = { requestId: string; route?: string; rate?: Verdict } & Partial<
  HttpBindings | Http2Bindings
>;
export type Ctx = Context<{ Bindings: Bindings }>;

/** What a handler gets: a request that has passed all checks of its shape, and who sent it. */
type Asked<K extends OperationName> = Given<K> & {
  c: Ctx;
  who: (typeof contract)[K]["roles"] extends null ? null : Caller;
};

/** Coupons that a page counts down to. */
const UPCOMING = 10;
/** Rows of a list that are read at once. */
const PAGE = 10_000;
/** Streams at once, of a process … */
const MAX_STREAMS = 1_000;
/** … and of one user there. */
const MAX_STREAMS_OF_USER = 10;
/** Streams of operators. */
const MAX_STATUS_STREAMS = 50;
/** Lists that are read at once, of a process: each holds a page of rows for its reader. */
const MAX_LISTS = 20;

export function createApp({
  db,
  issuing,
  authenticate,
  cors,
  demoToken,
  log,
  metrics,
  rateLimit,
  isDraining,
  readiness,
}: Dependencies) {
  const app = new Hono<{ Bindings: Bindings }>();
  const liveCoupons = createShared(async () => {
    const live = await db.liveCoupons();
    // Weak: of the coupons alone, since server_time is another each time.
    return { text: JSON.stringify(live), etag: `W/${etagOf(JSON.stringify(live.coupons))}` };
  });

  const couponsFeed = createFeed(
    {
      event: "coupons",
      read: async () => {
        const [{ coupons: live }, { coupons: upcoming, server_time }] = await Promise.all([
          db.liveCoupons(),
          db.upcomingCoupons(UPCOMING),
        ]);
        return { live, upcoming, server_time };
      },
      gist: ({ live, upcoming }) => [live, upcoming.map(({ starts_in: _, ...coupon }) => coupon)],
    },
    log.failure,
  );
  const couponStatus = async () => ({
    ...(await db.couponStatus()),
    outcomes: issuing.outcomes,
  });
  const statusFeed = createFeed({ event: "status", read: couponStatus, gist: (state) => state }, log.failure);
  const lists = createPlaces("lists", MAX_LISTS);

  app.onError((error, c) => {
    const { status, members } = logging(c)(error);
    return respond(problem(status, members, c.env.requestId));
  });

  app.notFound((c) => {
    const { status, members } = new Problem("no_such_route");
    return respond(problem(status, members, c.env.requestId));
  });

  // ---- Coupons ------------------------------------------------------------------------------------------------------

  command("createCoupon", ({ who, body: { reason, ...coupon } }) =>
    db.createCoupon(coupon, noteOf(who, reason)),
  );

  on("liveCoupons", async ({ c }) => {
    const { text, etag } = await liveCoupons();
    const sent = success(200, text, c.env.requestId);
    Object.assign(sent.headers, { etag, "cache-control": "private, no-cache" });
    if (!isNamed(etag, header(c, "if-none-match"))) return respond(sent);
    return new Response(null, { status: 304, headers: sent.headers });
  });

  stream("watchCoupons", couponsFeed, createPlaces("streams", MAX_STREAMS, MAX_STREAMS_OF_USER));
  read("couponStatus", couponStatus);
  stream("watchStatus", statusFeed, createPlaces("streams", MAX_STATUS_STREAMS));

  read("upcomingCoupons", ({ query: { page_size } }) => db.upcomingCoupons(page_size));
  read("findCouponByCode", ({ query }) => db.findCoupon(query));
  read("findCoupon", ({ path }) => db.findCoupon(path));

  read("couponStats", async ({ path: { coupon_id } }) => {
    const stats = await db.couponStats(coupon_id);
    return stats && { coupon_id, ...stats };
  });

  on("issueCoupon", async ({ c, who, path: { coupon_id }, body }) => {
    const issue = await issuing.issue(coupon_id, actsFor(who, body.user_id), (listener) =>
      c.env.outgoing?.once("close", listener),
    );
    return respond(issueAnswer(coupon_id, issue, c.env.requestId));
  });

  command("useCoupon", async ({ who, path: { coupon_id }, body: { reference, ...body } }) => {
    const user_id = actsFor(who, body.user_id);
    const use = await db.useCoupon(user_id, coupon_id, reference, actorOf(who));
    return { coupon_id, user_id, ...use };
  });

  command("undoUse", async ({ who, path: { coupon_id }, body: { user_id, reason } }) => {
    const use = await db.undoUse(user_id, coupon_id, { actor: actorOf(who), reason });
    return { coupon_id, user_id, ...use };
  });

  command("pauseCoupon", async ({ who, path: { coupon_id }, body: { reason } }) => ({
    coupon_id,
    ...(await db.pauseCoupon(coupon_id, noteOf(who, reason))),
  }));

  command("resumeCoupon", async ({ who, path: { coupon_id }, body: { reason } }) => ({
    coupon_id,
    ...(await db.resumeCoupon(coupon_id, noteOf(who, reason))),
  }));

  command("setCouponCount", async ({ who, path: { coupon_id }, body: { count, reason } }) => ({
    coupon_id,
    ...(await db.setCouponCount(coupon_id, count, noteOf(who, reason))),
  }));

  command("setCouponExpiry", async ({ who, path: { coupon_id }, body: { expiry, reason } }) => ({
    coupon_id,
    ...(await db.setCouponExpiry(coupon_id, expiry, noteOf(who, reason))),
  }));

  // ---- Users --------------------------------------------------------------------------------------------------------

  read("wallet", async ({ who, path, query: { before, page_size } }) => {
    const user_id = actsFor(who, path.user_id);
    const coupons = await db.wallet(user_id, before ?? null, page_size);
    const next_before = coupons.length === page_size ? (coupons.at(-1)?.issued_on ?? null) : null;
    return { user_id, coupons, next_before };
  });

  read("importUsers", async ({ who, body: { users, reason } }) => ({
    users: await db.importUsers(users, noteOf(who, reason)),
  }));

  on("importUserLines", ({ c, who, query: { reason } }) => {
    if (!LINES_TYPE.test(header(c, "content-type") ?? ""))
      throw new Problem("invalid_request", { status: 415, detail: "The body must be application/x-ndjson." });
    const importUsers = (users: Parameters<Db["importUsers"]>[0]) =>
      db.importUsers(users, noteOf(who, reason));
    const input = c.req.raw.body ?? ReadableStream.from([]);
    return lines(c, importLines(input, importUsers, { isDraining, toProblem: logging(c) }));
  });

  on("listUsers", ({ c, query: { after } }) =>
    list(
      c,
      exportLines(
        (from) => db.listUsers(from, PAGE),
        ({ user_id }) => user_id,
        after,
        logging(c),
      ),
    ),
  );

  on("listGrants", async ({ c, path: { coupon_id }, query: { after } }) => {
    if ((await db.findCoupon({ coupon_id })) === undefined) throw new Problem("coupon_not_found");
    const page = (from: number) => db.listGrants(coupon_id, from, PAGE);
    return list(
      c,
      exportLines(page, ({ position }) => position, after, logging(c)),
    );
  });

  // ---- Whether we live ----------------------------------------------------------------------------------------------

  const signerFor = (c: Ctx) => {
    const sign = demoToken(c.env.incoming);
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

  app.get("/metrics", async (c) => {
    c.env.route = "/metrics";
    return respond(await metrics.scrape(c.env.incoming, c.env.requestId));
  });

  // ---- What a browser is given --------------------------------------------------------------------------------------

  const page = createPages();
  for (const path of Object.keys(pages))
    app.get(path, async (c) => {
      c.env.route = path;
      const sent = await page(path);
      const headers = { ...sent.headers, "x-request-id": c.env.requestId };
      if (isNamed(sent.headers["etag"] ?? "", header(c, "if-none-match")))
        return new Response(null, { status: 304, headers });
      return new Response(sent.bytes, { headers });
    });

  return {
    fetch,
    routes: app.routes,
    /** Streams that are open. */
    streams: () => couponsFeed.watchers() + statusFeed.watchers(),
    /** Ends what would go on for ever. */
    endStreams() {
      couponsFeed.end();
      statusFeed.end();
    },
  };

  /** Answers an operation of the contract, once the request has passed its checks. */
  function on<K extends OperationName>(
    name: K,
    handler: (asked: Asked<K>) => Response | Promise<Response>,
    first: (c: Ctx) => unknown = () => {},
  ): void {
    const { route, roles, path, query, body, maxBody }: Operation = contract[name];
    const [method = "", template = ""] = route.split(" ");
    app.on(method, template.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
      c.env.route = template;
      first(c);
      const who = roles && (await caller(c, roles));
      const asked = {
        c,
        who,
        path: path && parsed(path, c.req.param()),
        // A probe may add what it likes.
        query: query || roles ? queryOf(c, query ?? nothing) : {},
        body: body && (await bodyOf(c, body, maxBody)),
      };
      unlessLeft(c);
      return handler(asked as Asked<K>);
    });
  }

  /** A command answers with its outcome first, and by the status of that. */
  function command<K extends CommandName>(
    name: K,
    handler: (asked: Asked<K>) => Promise<{ outcome: Outcome<CommandOf<K>> } & Record<string, unknown>>,
  ): void {
    on(name, async (asked) => {
      const { outcome, ...members } = await handler(asked);
      const which: CommandOf<K> = contract[name].command;
      metrics.count(which, outcome);
      return respond(commandAnswer(which, { outcome, ...members }, asked.c.env.requestId));
    });
  }

  function stream(name: FeedName, feed: Feed, places: Places): void {
    on(name, ({ c, who }) => {
      hold(c, places, who);
      const events = feed.watch();
      // Whoever asks for the head alone watches nothing, and would be told until it is found to read nothing.
      if (c.req.method === "HEAD") void events.cancel();
      return new Response(events, {
        headers: {
          "content-type": "text/event-stream",
          "cache-control": "no-store",
          "x-accel-buffering": "no", // nginx would keep the events back
          "x-request-id": c.env.requestId,
        },
      });
    });
  }

  function list(c: Ctx, rows: ReadableStream<Uint8Array>): Response {
    hold(c, lists);
    return lines(c, rows);
  }

  function read<K extends OperationName>(
    name: K,
    handler: (asked: Asked<K>) => Promise<AnswerOf<K> | undefined> | AnswerOf<K>,
    first?: (c: Ctx) => unknown,
  ): void {
    const answer = async (asked: Asked<K>) => {
      const found = await handler(asked);
      if (found === undefined) throw new Problem("coupon_not_found");
      return respond(success(200, JSON.stringify(found), asked.c.env.requestId));
    };
    on(name, answer, first);
  }

  /** Around the routes, and not a middleware of theirs, which costs a fifth of a refusal in promises. */
  function fetch(
    request: Request,
    env: Partial<HttpBindings | Http2Bindings> = {},
  ): Response | Promise<Response> {
    const began = performance.now();
    const { rawHeaders } = env.incoming ?? {};
    const given = (name: string) =>
      rawHeaders ? headerOf(rawHeaders, name) : (request.headers.get(name) ?? undefined);
    const requestId = requestIdOf(given("x-request-id"));
    const trace = traceOf(given("traceparent"));
    const origin = given("origin");
    const bindings: Bindings = Object.assign(env, { requestId });
    const answer =
      request.method === "OPTIONS" && given("access-control-request-method") !== undefined
        ? new Response(null, { status: 204, headers: cors.preflight(origin) })
        : app.fetch(request, bindings);
    return answer instanceof Promise
      ? answer.then((response) => finish(request, response, began, bindings, origin, trace))
      : finish(request, answer, began, bindings, origin, trace);
  }

  function finish(
    request: Request,
    response: Response,
    began: number,
    { requestId, route = "unmatched", rate }: Bindings,
    origin: string | undefined,
    trace: Trace | undefined,
  ): Response {
    const more = { ...cors.headers(origin), ...(rate && rateLimitHeaders(rate)) };
    for (const [name, value] of Object.entries(more)) response.headers.set(name, value);
    if (isDraining()) response.headers.set("connection", "close");
    if (trace) response.headers.set("traceparent", trace.traceparent);
    const ms = performance.now() - began;
    const { method } = request;
    metrics.requests.of(method, route)(response.status, ms);
    log.request(method, new URL(request.url).pathname, response.status, ms, requestId, trace?.traceId);
    return response;
  }

  /** Makes an error of this request a problem; one of ours gets into the log. */
  function logging(c: Ctx): (error: unknown) => Problem {
    return (error) => {
      const found = asProblem(error);
      if (found.cause !== undefined && found.status >= 500) log.failure(found.cause, c.env.requestId);
      return found;
    };
  }

  /** The caller, if its role is one of these; else 401 or 403. */
  async function caller(c: Ctx, roles: readonly Caller["role"][]): Promise<Caller> {
    const token = bearerOf(header(c, "authorization"));
    const who = token === undefined ? null : await authenticate(token);
    if (who === null)
      throw new Problem(
        "unauthenticated",
        token === undefined ? {} : { detail: "The bearer token is not valid." },
      );
    if (!roles.includes(who.role))
      throw new Problem("forbidden", { detail: `This takes the role ${roles.join(" or ")}.` });
    if (who.role === "user") {
      c.env.rate = rateLimit.take(who.user_id);
      if (!c.env.rate.allowed) throw new Problem("rate_limited", { retryAfter: c.env.rate.resetIn });
    }
    return who;
  }
}

/**
 * Nothing is done for whoever left while its token was checked or the database asked. By the socket: "close" is told once, and of an
 * answer that queues behind another one of its connection nothing else tells.
 */
function unlessLeft({ env: { incoming } }: Ctx): void {
  if (incoming?.socket.destroyed) throw new Problem("hung_up");
}

/** Takes a place until the answer is sent, or can't be any more. */
function hold(c: Ctx, places: Places, who?: Caller): void {
  const { outgoing } = c.env;
  if (outgoing === undefined) return;
  unlessLeft(c);
  outgoing.once("close", places.take(who?.role === "user" ? who.user_id : undefined));
}

/** Who calls, as the audit is told. */
function actorOf({ role, subject }: Caller): string {
  return `${role}:${subject}`;
}

function noteOf(who: Caller, reason: string | undefined): Note {
  return { actor: actorOf(who), reason };
}

/** A user acts for itself only; a service and an admin for whom they name. */
function actsFor(who: Caller, user_id: number | undefined): number {
  if (who.role === "user") {
    if (user_id !== undefined && user_id !== who.user_id)
      throw new Problem("forbidden", { detail: "A user acts for itself only." });
    return who.user_id;
  }
  if (user_id === undefined)
    throw new Problem("invalid_request", {
      detail: `user_id: is needed from role ${who.role}`,
      errors: [{ member: "user_id", detail: `is needed from role ${who.role}` }],
    });
  return user_id;
}

function lines(c: Ctx, body: ReadableStream<Uint8Array>): Response {
  return new Response(body, {
    headers: {
      "content-type": "application/x-ndjson",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
      "x-request-id": c.env.requestId,
    },
  });
}

/** Made whole at once, headers and all: Hono's c.header() and c.json() would go through a Headers object each time. */
function respond({ status, headers, text }: Sent): Response {
  return new Response(text, { status, headers });
}
