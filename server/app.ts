/** The routes. Each translates: parse, call, answer. */
import { createHash } from "node:crypto";
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { z } from "zod";
import { commandAnswer, issueAnswer, problem, type Sent, success } from "./answer.ts";
import type { Authenticate, Caller } from "./auth.ts";
import type { Db } from "./db.ts";
import { bearerOf, headerOf, JSON_TYPE, requestIdOf } from "./headers.ts";
import type { Issuing } from "./issuing.ts";
import type { Log } from "./log.ts";
import type { Command, Outcome } from "./outcomes.ts";
import { asProblem, invalidRequest, Problem } from "./problem.ts";
import * as schemas from "./schemas.ts";
import { createShared } from "./shared.ts";

export interface Dependencies {
  db: Db;
  issuing: Issuing;
  authenticate: Authenticate;
  log: Log;
  /** True from the moment that the process wants to end. */
  isDraining: () => boolean;
  /** Throws the problem that keeps this server from serving. */
  readiness: () => Promise<void>;
}

/** What comes with a request: its id, and Node's request and response, which a test that calls the app itself hasn't got. */
type Bindings = { requestId: string } & Partial<HttpBindings | Http2Bindings>;
type Ctx = Context<{ Bindings: Bindings }>;

/** Bytes of a body; a list of users may be larger. */
const MAX_BODY = 16 * 1024;
const MAX_USERS_BODY = 4 * 1024 * 1024;

export function createApp({ db, issuing, authenticate, log, isDraining, readiness }: Dependencies) {
  const app = new Hono<{ Bindings: Bindings }>();
  const liveCoupons = createShared(async () => {
    const live = await db.liveCoupons();
    return { text: JSON.stringify(live), etag: etagOf(live.coupons) };
  });

  app.onError((error, c) => {
    const { cause, status, members } = asProblem(error);
    if (cause !== undefined && status >= 500) log.failure(cause, c.env.requestId);
    return respond(problem(status, members, c.env.requestId));
  });

  app.notFound((c) =>
    respond(
      problem(404, { outcome: "no_such_route", detail: "There is nothing at this path." }, c.env.requestId),
    ),
  );

  // ---- Whether we live ----------------------------------------------------------------------------------------------

  app.get("/livez", (c) => ok(c, { status: "ok" }));
  app.get("/readyz", async (c) => {
    await readiness();
    return ok(c, { status: "ok" });
  });

  // ---- Coupons ------------------------------------------------------------------------------------------------------

  app.post("/coupons", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { reason, ...coupon } = await body(c, schemas.newCoupon);
    return answer(c, "create_coupon", await db.createCoupon(coupon, { actor, reason }));
  });

  app.get("/coupons", async (c) => {
    await caller(c, "service", "admin");
    const { code } = query(c, schemas.byCode);
    return found(c, await db.findCoupon({ code }));
  });

  app.get("/coupons/live", async (c) => {
    await caller(c);
    query(c, schemas.noQuery);
    const { text, etag } = await liveCoupons();
    const sent = success(200, text, c.env.requestId);
    Object.assign(sent.headers, { etag, "cache-control": "private, no-cache" });
    if (!isNamed(etag, header(c, "if-none-match"))) return respond(sent);
    return new Response(null, { status: 304, headers: sent.headers });
  });

  app.get("/coupons/upcoming", async (c) => {
    await caller(c);
    const { page_size } = query(c, schemas.upcomingQuery);
    return ok(c, await db.upcomingCoupons(page_size));
  });

  app.get("/coupons/:coupon_id", async (c) => {
    await caller(c);
    const { coupon_id } = path(c, schemas.couponPath);
    query(c, schemas.noQuery);
    return found(c, await db.findCoupon({ coupon_id }));
  });

  app.get("/coupons/:coupon_id/stats", async (c) => {
    await caller(c, "admin");
    const { coupon_id } = path(c, schemas.couponPath);
    query(c, schemas.noQuery);
    const stats = await db.couponStats(coupon_id);
    return found(c, stats && { coupon_id, ...stats });
  });

  app.post("/coupons/:coupon_id/issue", async (c) => {
    const who = await caller(c);
    const { coupon_id } = path(c, schemas.couponPath);
    const user_id = actsFor(who, (await body(c, schemas.forUser)).user_id);
    const issue = await issuing.issue(coupon_id, user_id, (listener) =>
      c.env.outgoing?.once("close", listener),
    );
    return respond(issueAnswer(coupon_id, issue, c.env.requestId));
  });

  app.post("/coupons/:coupon_id/use", async (c) => {
    const who = await caller(c);
    const { coupon_id } = path(c, schemas.couponPath);
    const given = await body(c, schemas.use);
    const user_id = actsFor(who, given.user_id);
    const { outcome, ...use } = await db.useCoupon(user_id, coupon_id, given.reference, actorOf(who));
    return answer(c, "use_coupon", { outcome, coupon_id, user_id, ...use });
  });

  app.post("/coupons/:coupon_id/undo-use", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { coupon_id } = path(c, schemas.couponPath);
    const { user_id, reason } = await body(c, schemas.undoUse);
    const { outcome, ...use } = await db.undoUse(user_id, coupon_id, { actor, reason });
    return answer(c, "undo_use", { outcome, coupon_id, user_id, ...use });
  });

  app.post("/coupons/:coupon_id/pause", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { coupon_id } = path(c, schemas.couponPath);
    const { reason } = await body(c, schemas.why);
    const { outcome } = await db.pauseCoupon(coupon_id, { actor, reason });
    return answer(c, "pause_coupon", { outcome, coupon_id });
  });

  app.post("/coupons/:coupon_id/resume", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { coupon_id } = path(c, schemas.couponPath);
    const { reason } = await body(c, schemas.why);
    const { outcome } = await db.resumeCoupon(coupon_id, { actor, reason });
    return answer(c, "resume_coupon", { outcome, coupon_id });
  });

  app.post("/coupons/:coupon_id/count", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { coupon_id } = path(c, schemas.couponPath);
    const { count, reason } = await body(c, schemas.newCount);
    const { outcome, ...stock } = await db.setCouponCount(coupon_id, count, { actor, reason });
    return answer(c, "set_coupon_count", { outcome, coupon_id, ...stock });
  });

  app.post("/coupons/:coupon_id/expiry", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { coupon_id } = path(c, schemas.couponPath);
    const { expiry, reason } = await body(c, schemas.newExpiry);
    const { outcome } = await db.setCouponExpiry(coupon_id, expiry, { actor, reason });
    return answer(c, "set_coupon_expiry", { outcome, coupon_id });
  });

  // ---- Users --------------------------------------------------------------------------------------------------------

  app.get("/users/:user_id/coupons", async (c) => {
    const who = await caller(c);
    const user_id = actsFor(who, path(c, schemas.userPath).user_id);
    const { before, page_size } = query(c, schemas.walletQuery);
    const coupons = await db.wallet(user_id, before ?? null, page_size);
    const last = coupons.at(-1);
    return ok(c, {
      user_id,
      coupons,
      next_before: coupons.length === page_size ? last?.issued_on : null,
    });
  });

  app.post("/users", async (c) => {
    const actor = actorOf(await caller(c, "admin"));
    const { users, reason } = await body(c, schemas.newUsers, MAX_USERS_BODY);
    return ok(c, { users: await db.importUsers(users, { actor, reason }) });
  });

  return { fetch, routes: app.routes };

  /** Around the routes, and not a middleware of theirs, which costs a fifth of a refusal in promises. */
  function fetch(
    request: Request,
    env: Partial<HttpBindings | Http2Bindings> = {},
  ): Response | Promise<Response> {
    const began = performance.now();
    const { rawHeaders } = env.incoming ?? {};
    const requestId = requestIdOf(
      rawHeaders ? headerOf(rawHeaders, "x-request-id") : request.headers.get("x-request-id"),
    );
    const answer = app.fetch(request, Object.assign(env, { requestId }));
    return answer instanceof Promise
      ? answer.then((response) => finish(request, response, began, requestId))
      : finish(request, answer, began, requestId);
  }

  function finish(request: Request, response: Response, began: number, requestId: string): Response {
    if (isDraining()) response.headers.set("connection", "close");
    log.request(
      request.method,
      new URL(request.url).pathname,
      response.status,
      performance.now() - began,
      requestId,
    );
    return response;
  }

  /** The caller, if its role is one of these (none: any); else 401 or 403. */
  async function caller(c: Ctx, ...roles: Caller["role"][]): Promise<Caller> {
    const token = bearerOf(header(c, "authorization"));
    const who = token === undefined ? null : await authenticate(token);
    if (who === null)
      throw new Problem(401, {
        outcome: "unauthenticated",
        detail: token === undefined ? "A bearer token is needed." : "The bearer token is not valid.",
      });
    if (roles.length > 0 && !roles.includes(who.role))
      throw new Problem(403, { outcome: "forbidden", detail: `This takes the role ${roles.join(" or ")}.` });
    return who;
  }
}

/** A header by its name in lower case. */
function header(c: Ctx, name: string): string | undefined {
  const { rawHeaders } = c.env.incoming ?? {};
  return rawHeaders ? headerOf(rawHeaders, name) : c.req.header(name);
}

/** Weak: of the coupons alone, since server_time is another each time. */
function etagOf(coupons: unknown): string {
  return `W/"${createHash("sha256").update(JSON.stringify(coupons)).digest("base64url").slice(0, 22)}"`;
}

/** If-None-Match (RFC 9110, 13.1.2): a list of tags, compared weakly, or any. */
function isNamed(etag: string, ifNoneMatch: string | undefined): boolean {
  const tags = ifNoneMatch?.split(",").map((tag) => tag.trim()) ?? [];
  return tags.includes("*") || tags.some((tag) => tag.replace(/^W\//, "") === etag.slice(2));
}

/** Who calls, as the audit is told. */
function actorOf({ role, subject }: Caller): string {
  return `${role}:${subject}`;
}

/** A user acts for itself only; a service and an admin for whom they name. */
function actsFor(who: Caller, user_id: number | undefined): number {
  if (who.role === "user") {
    if (user_id !== undefined && user_id !== who.user_id)
      throw new Problem(403, { outcome: "forbidden", detail: "A user acts for itself only." });
    return who.user_id;
  }
  if (user_id === undefined)
    throw new Problem(400, {
      outcome: "invalid_request",
      detail: `user_id: is needed from role ${who.role}`,
      errors: [{ member: "user_id", detail: `is needed from role ${who.role}` }],
    });
  return user_id;
}

function answer<C extends Command>(
  c: Ctx,
  command: C,
  result: { outcome: Outcome<C> } & Record<string, unknown>,
): Response {
  return respond(commandAnswer(command, result, c.env.requestId));
}

/** Made whole at once, headers and all: Hono's c.header() and c.json() would go through a Headers object each time. */
function respond({ status, headers, text }: Sent): Response {
  return new Response(text, { status, headers });
}

function ok(c: Ctx, body: unknown): Response {
  return respond(success(200, JSON.stringify(body), c.env.requestId));
}

function found(c: Ctx, row: object | undefined): Response {
  if (row === undefined)
    throw new Problem(404, { outcome: "coupon_not_found", detail: "There is no such coupon." });
  return ok(c, row);
}

function path<S extends z.ZodType>(c: Ctx, schema: S): z.infer<S> {
  return parse(schema, c.req.param());
}

/** Each member once. */
function query<S extends z.ZodType>(c: Ctx, schema: S): z.infer<S> {
  const given = Object.entries(c.req.queries()).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] : values,
  ]);
  return parse(schema, Object.fromEntries(given));
}

/** The JSON body; none at all is an empty object. */
async function body<S extends z.ZodType>(c: Ctx, schema: S, maxBytes = MAX_BODY): Promise<z.infer<S>> {
  if (c.req.url.includes("?")) query(c, schemas.noQuery);
  const length = header(c, "content-length");
  if (length === undefined && header(c, "transfer-encoding") !== undefined)
    throw new Problem(411, {
      outcome: "invalid_request",
      detail: "A body must come with its Content-Length.",
    });
  if (length === undefined || length === "0") return parse(schema, {});
  if (Number(length) > maxBytes)
    throw new Problem(413, {
      outcome: "invalid_request",
      detail: `The body must have at most ${maxBytes} bytes.`,
    });
  if (!JSON_TYPE.test(header(c, "content-type") ?? ""))
    throw new Problem(415, { outcome: "invalid_request", detail: "The body must be application/json." });
  let given: unknown;
  try {
    given = await c.req.json();
  } catch {
    throw new Problem(400, { outcome: "invalid_request", detail: "The body is not valid JSON." });
  }
  return parse(schema, given);
}

function parse<S extends z.ZodType>(schema: S, given: unknown): z.infer<S> {
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw invalidRequest(parsed.error);
  return parsed.data;
}
