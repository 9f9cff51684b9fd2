/** The routes. Each translates: parse, call, answer. */
import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import type { z } from "zod";
import type { Authenticate, Caller } from "./auth.ts";
import type { Db, Issue } from "./db.ts";
import type { Lanes } from "./lane.ts";
import type { Log } from "./log.ts";
import { answerOf, type Command, type Outcome } from "./outcomes.ts";
import { asProblem, invalidRequest, Problem, problemResponse } from "./problem.ts";
import * as schemas from "./schemas.ts";

export interface Dependencies {
  db: Db;
  /** Lanes of issue requests, by coupon. */
  lanes: Lanes<number, Issue>;
  authenticate: Authenticate;
  log: Log;
  /** True from the moment that the process wants to end. */
  isDraining: () => boolean;
}

type Variables = { requestId: string };
type Ctx = Context<{ Variables: Variables }>;

/** Bytes of a body; a list of users may be larger. */
const MAX_BODY = 16 * 1024;
const MAX_USERS_BODY = 4 * 1024 * 1024;

export function createApp({ db, lanes, authenticate, log, isDraining }: Dependencies) {
  const app = new Hono<{ Variables: Variables }>();

  app.use(async (c, next) => {
    const began = performance.now();
    const given = c.req.header("x-request-id");
    const requestId = given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
    c.set("requestId", requestId);
    // Before the answer is made: afterwards the adapter would have to make a full Response of it first.
    c.header("x-request-id", requestId);
    await next();
    if (isDraining()) c.res.headers.set("connection", "close");
    log.request(c.req.method, c.req.path, c.res.status, performance.now() - began, requestId);
  });

  app.onError((error, c) => {
    const problem = asProblem(error);
    if (problem.cause !== undefined && problem.status >= 500) log.failure(problem.cause, c.get("requestId"));
    return problemResponse(problem.status, problem.members, c.get("requestId"));
  });

  app.notFound((c) =>
    problemResponse(
      404,
      { outcome: "no_such_route", detail: "There is nothing at this path." },
      c.get("requestId"),
    ),
  );

  // ---- Whether we live ----------------------------------------------------------------------------------------------

  app.get("/livez", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    if (isDraining())
      throw new Problem(503, { outcome: "draining", detail: "This server is ending.", retryAfter: 1 });
    await db.ping();
    return c.json({ status: "ok" });
  });

  // ---- Coupons ------------------------------------------------------------------------------------------------------

  app.post("/coupons", async (c) => {
    await caller(c, "admin");
    const coupon = await body(c, schemas.newCoupon);
    return answer(c, "create_coupon", await db.createCoupon(coupon));
  });

  app.get("/coupons", async (c) => {
    await caller(c, "service", "admin");
    const { code } = query(c, schemas.byCode);
    return found(c, await db.findCoupon({ code }));
  });

  app.get("/coupons/live", async (c) => {
    await caller(c);
    query(c, schemas.noQuery);
    return c.json(await db.liveCoupons());
  });

  app.get("/coupons/upcoming", async (c) => {
    await caller(c);
    const { page_size } = query(c, schemas.upcomingQuery);
    return c.json(await db.upcomingCoupons(page_size));
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
    const { outcome, starts_in, ...issue } = await lanes.submit(coupon_id, user_id);
    return answer(c, "issue_coupon", { outcome, coupon_id, ...issue }, starts_in ?? undefined);
  });

  app.post("/coupons/:coupon_id/use", async (c) => {
    const who = await caller(c);
    const { coupon_id } = path(c, schemas.couponPath);
    const given = await body(c, schemas.use);
    const user_id = actsFor(who, given.user_id);
    const { outcome, ...use } = await db.useCoupon(user_id, coupon_id, given.reference);
    return answer(c, "use_coupon", { outcome, coupon_id, user_id, ...use });
  });

  app.post("/coupons/:coupon_id/undo-use", async (c) => {
    await caller(c, "admin");
    const { coupon_id } = path(c, schemas.couponPath);
    const { user_id, reason } = await body(c, schemas.undoUse);
    const { outcome, ...use } = await db.undoUse(user_id, coupon_id, reason);
    return answer(c, "undo_use", { outcome, coupon_id, user_id, ...use });
  });

  app.post("/coupons/:coupon_id/pause", async (c) => {
    await caller(c, "admin");
    const { coupon_id } = path(c, schemas.couponPath);
    await body(c, schemas.nothing);
    const { outcome } = await db.pauseCoupon(coupon_id);
    return answer(c, "pause_coupon", { outcome, coupon_id });
  });

  app.post("/coupons/:coupon_id/resume", async (c) => {
    await caller(c, "admin");
    const { coupon_id } = path(c, schemas.couponPath);
    await body(c, schemas.nothing);
    const { outcome } = await db.resumeCoupon(coupon_id);
    return answer(c, "resume_coupon", { outcome, coupon_id });
  });

  app.post("/coupons/:coupon_id/count", async (c) => {
    await caller(c, "admin");
    const { coupon_id } = path(c, schemas.couponPath);
    const { count } = await body(c, schemas.newCount);
    const { outcome, ...stock } = await db.setCouponCount(coupon_id, count);
    return answer(c, "set_coupon_count", { outcome, coupon_id, ...stock });
  });

  app.post("/coupons/:coupon_id/expiry", async (c) => {
    await caller(c, "admin");
    const { coupon_id } = path(c, schemas.couponPath);
    const { expiry } = await body(c, schemas.newExpiry);
    const { outcome } = await db.setCouponExpiry(coupon_id, expiry);
    return answer(c, "set_coupon_expiry", { outcome, coupon_id });
  });

  // ---- Users --------------------------------------------------------------------------------------------------------

  app.get("/users/:user_id/coupons", async (c) => {
    const who = await caller(c);
    const user_id = actsFor(who, path(c, schemas.userPath).user_id);
    const { before, page_size } = query(c, schemas.walletQuery);
    const coupons = await db.wallet(user_id, before ?? null, page_size);
    const last = coupons.at(-1);
    return c.json({ user_id, coupons, next_before: coupons.length === page_size ? last?.issued_on : null });
  });

  app.post("/users", async (c) => {
    await caller(c, "admin");
    const { users } = await body(c, schemas.newUsers, MAX_USERS_BODY);
    return c.json({ users: await db.importUsers(users) });
  });

  return app;

  /** The caller, if its role is one of these (none: any); else 401 or 403. */
  async function caller(c: Ctx, ...roles: Caller["role"][]): Promise<Caller> {
    const [, token] = c.req.header("authorization")?.match(/^Bearer ([\w.-]{1,4096})$/i) ?? [];
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

/** The result of a command with the status of its outcome; a refusal as a problem. */
function answer<C extends Command>(
  c: Ctx,
  command: C,
  result: { outcome: Outcome<C> } & Record<string, unknown>,
  retryAfter?: number,
): Response {
  const { status, detail } = answerOf(command, result.outcome);
  if (status < 300) return c.json(result, status);
  const told = Object.entries(result).filter(([, value]) => value !== null);
  const members = { ...Object.fromEntries(told), outcome: result.outcome, detail };
  return problemResponse(
    status,
    retryAfter === undefined ? members : { ...members, starts_in: retryAfter, retryAfter },
    c.get("requestId"),
  );
}

function found(c: Ctx, row: object | undefined): Response {
  if (row === undefined)
    throw new Problem(404, { outcome: "coupon_not_found", detail: "There is no such coupon." });
  return c.json(row);
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
  const length = c.req.header("content-length");
  if (length === undefined && c.req.header("transfer-encoding") !== undefined)
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
  if (!/^application\/json *(;|$)/i.test(c.req.header("content-type") ?? ""))
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
