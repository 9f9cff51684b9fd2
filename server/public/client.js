/**
 * The client: a method for each operation but those of lines, which are for scripts, in browsers and in Node.js, without anything else. It sends a request again where
 * that is right, after 503, 429 and lost connections, and never where the answer was final.
 *
 *   const client = couponClient({ token });
 *   const result = await client.issueCoupon({ coupon_id: 7 });
 *   if (result.outcome === "issued") console.log(`number ${result.position}`);
 */
import { CouponError, parse, toError } from "./client-error.js";
import { createServerClock } from "./server-clock.js";

export { CouponError };

/** @typedef {import("../api/contract-types.ts").OperationName} OperationName */
/** @typedef {import("../api/contract-types.ts").FeedName} FeedName */
/** @typedef {Exclude<OperationName, import("../api/contract-types.ts").LinesName>} MethodName */
/** @typedef {Exclude<MethodName, FeedName>} CallName */

/**
 * @template {OperationName} K
 * @typedef {import("../api/contract-types.ts").RequestOf<K>} RequestOf
 */

/**
 * @template {OperationName} K
 * @typedef {import("../api/contract-types.ts").ResultOf<K>} ResultOf
 */

/**
 * A request has no members, or all may be left out, or not.
 * @template {OperationName} K
 * @typedef {Partial<RequestOf<K>> extends RequestOf<K>
 *   ? [request?: RequestOf<K>, how?: { signal?: AbortSignal }]
 *   : [request: RequestOf<K>, how?: { signal?: AbortSignal }]} Arguments
 */

/**
 * A call answers with the result of its operation: of a command each outcome, refusals too. It throws a CouponError for all else,
 * and the signal's reason when that is aborted. A stream yields states for ever, over lost connections, until its signal is
 * aborted or the loop is left.
 * @typedef {{ [K in CallName]: (...given: Arguments<K>) => Promise<ResultOf<K>> }
 *   & { [K in FeedName]: (how?: { signal?: AbortSignal }) => AsyncGenerator<ResultOf<K>, void> }
 *   & { serverNow: () => number }} CouponClient
 */

/**
 * @typedef {object} Options
 * @property {string} [baseUrl] Where the service is; in a browser the page's own origin.
 * @property {string | (() => string | Promise<string>)} [token] The bearer token, or what gives one.
 * @property {typeof globalThis.fetch} [fetch] Another one than the platform's.
 * @property {number} [attempts] How often a request is sent at most.
 * @property {number} [attemptMs] How long one attempt may take: beyond what the service itself allows.
 */

const ROUTES = /** @satisfies {{ [K in MethodName]: import("../api/contract-types.ts").RouteOf<K> }} */ ({
  createCoupon: "POST /coupons",
  findCouponByCode: "GET /coupons",
  liveCoupons: "GET /coupons/live",
  upcomingCoupons: "GET /coupons/upcoming",
  watchCoupons: "GET /coupons/events",
  couponStatus: "GET /coupons/status",
  watchStatus: "GET /coupons/status/events",
  findCoupon: "GET /coupons/{coupon_id}",
  couponStats: "GET /coupons/{coupon_id}/stats",
  issueCoupon: "POST /coupons/{coupon_id}/issue",
  useCoupon: "POST /coupons/{coupon_id}/use",
  undoUse: "POST /coupons/{coupon_id}/undo-use",
  pauseCoupon: "POST /coupons/{coupon_id}/pause",
  resumeCoupon: "POST /coupons/{coupon_id}/resume",
  setCouponCount: "POST /coupons/{coupon_id}/count",
  setCouponExpiry: "POST /coupons/{coupon_id}/expiry",
  wallet: "GET /users/{user_id}/coupons",
  importUsers: "POST /users",
  demoToken: "POST /demo/token",
  livez: "GET /livez",
  readyz: "GET /readyz",
});

/** Those that yield states instead of answering once. */
const STREAMS = new Set(["watchCoupons", "watchStatus"]);

/** Statuses of a request that was not answered finally: the same again is right. */
const AGAIN = new Set([429, 502, 503, 504]);
/** Problems with these are outcomes of a command; 400, 401, 403 and the like are mistakes of the caller. */
const REFUSALS = new Set([404, 409]);

/** Of a client: retries that can be made at once, and what a request that was answered finally adds to that. */
const RETRY_BUDGET = 10;
const RETRY_REFILL = 0.2;
/** Wait before the second attempt where the service doesn't say, ms; it doubles. */
const FIRST_WAIT = 200;
const LONGEST_WAIT = 10_000;
/** Longer than this the client doesn't wait because the service, or whoever answers in its place, asks for it: the caller decides. */
const LONGEST_RETRY_AFTER = 30_000;
/** Of an event, characters: far more than the service sends. */
const LONGEST_EVENT = 16 * 1024 * 1024;
/** The service shows every 15 s that a stream lives. */
const SILENCE_MS = 40_000;

/**
 * What the calls of one client share.
 * @typedef {object} Connection
 * @property {string} base
 * @property {Options["token"]} token
 * @property {typeof globalThis.fetch} fetch
 * @property {number} attempts
 * @property {number} attemptMs
 * @property {number} budget Retries that can be made now.
 * @property {ReturnType<typeof createServerClock>} clock
 */

/**
 * @param {Options} [options]
 * @returns {CouponClient}
 */
export function couponClient({
  baseUrl = "",
  token,
  fetch = globalThis.fetch.bind(globalThis),
  attempts = 5,
  attemptMs = 15_000,
} = {}) {
  const clock = createServerClock();
  /** @type {Connection} */
  const connection = {
    ...{ base: baseUrl.replace(/\/$/, ""), token, fetch, attempts, attemptMs, clock },
    budget: RETRY_BUDGET,
  };
  /** @type {Record<string, unknown>} */
  const client = { serverNow: clock.now };
  for (const [name, route] of Object.entries(ROUTES))
    client[name] = STREAMS.has(name)
      ? (/** @type {{ signal?: AbortSignal }} */ how = {}) => watch(connection, route, how.signal)
      : (/** @type {object} */ request = {}, /** @type {{ signal?: AbortSignal }} */ how = {}) =>
          call(connection, route, request, how.signal);
  return /** @type {CouponClient} */ (client);
}

/**
 * @param {Connection} connection
 * @param {string} route
 * @param {object} request
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<unknown>}
 */
async function call(connection, route, request, signal) {
  const [url, init] = toRequest(connection.base, route, request);
  for (let attempt = 1; ; attempt++) {
    const { result, error, wait } = await send(connection, url, init, signal);
    if (error === undefined) {
      connection.budget = Math.min(RETRY_BUDGET, connection.budget + RETRY_REFILL);
      return result;
    }
    const isLast = attempt >= connection.attempts || connection.budget < 1;
    if (wait === undefined || wait > LONGEST_RETRY_AFTER || isLast) throw error;
    connection.budget -= 1;
    await sleep(Math.max(wait * (1 + Math.random() / 4), backOff(attempt)), signal);
  }
}

/**
 * One attempt: its result, or the error with, where the same again is right, how long to wait at least, ms.
 * @param {Connection} connection
 * @param {string} url
 * @param {RequestInit} init
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<{ result?: unknown, error?: CouponError, wait?: number }>}
 */
async function send(connection, url, init, signal) {
  const given = await headers(connection, init);
  let response;
  let text;
  const timeout = AbortSignal.timeout(connection.attemptMs);
  try {
    response = await connection.fetch(url, {
      ...init,
      headers: given,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    text = await response.text();
  } catch (cause) {
    signal?.throwIfAborted();
    const detail = "There was no answer; the request may have been done.";
    return { error: new CouponError("connection_lost", detail, {}, { cause }), wait: 0 };
  }
  const body = parse(text);
  if (body === undefined || AGAIN.has(response.status)) {
    const error = toError(response, body);
    return AGAIN.has(response.status) ? { error, wait: (error.retryAfter ?? 0) * 1000 } : { error };
  }
  if (response.ok) {
    connection.clock.heard(body["server_time"]);
    return { result: body };
  }
  const isRefusal =
    REFUSALS.has(response.status) && init.method === "POST" && body["outcome"] !== "no_such_route";
  return isRefusal ? { result: body } : { error: toError(response, body) };
}

/**
 * @param {Connection} connection
 * @param {string} route
 * @param {AbortSignal | undefined} signal
 * @returns {AsyncGenerator<unknown, void>}
 */
async function* watch(connection, route, signal) {
  const [url, init] = toRequest(connection.base, route, {});
  for (let failures = 0; ; failures += 1) {
    let wait = 0;
    try {
      for await (const state of events(connection, url, init, signal)) {
        failures = 0;
        connection.clock.heard(state["server_time"]);
        yield state;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof CouponError && !AGAIN.has(error.status)) throw error;
      if (error instanceof CouponError) wait = (error.retryAfter ?? 0) * 1000;
    }
    await sleep(Math.max(Math.min(wait, LONGEST_RETRY_AFTER), backOff(failures + 2)), signal);
  }
}

/**
 * The states of one stream.
 * @param {Connection} connection
 * @param {string} url
 * @param {RequestInit} init
 * @param {AbortSignal | undefined} signal
 * @returns {AsyncGenerator<Record<string, unknown>, void>}
 */
async function* events(connection, url, init, signal) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await connection.fetch(url, {
      ...init,
      headers: await headers(connection, init),
      signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
    });
    if (!response.ok || !response.body) throw toError(response, parse(await response.text()));
    // A login page of a proxy, for example: asked again it would be the same.
    if (!/^text\/event-stream *(;|$)/i.test(response.headers.get("content-type") ?? "")) {
      await response.body.cancel();
      throw toError(response, { detail: "The answer is no stream of events." });
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        if (rest.length > LONGEST_EVENT) throw toError(response, { detail: "An event has no end." });
        for (const block of blocks) {
          const [, data] = block.match(/^data: ?([^\n]*)/m) ?? [];
          if (data !== undefined) yield JSON.parse(data);
        }
      }
    } finally {
      // Also when the loop is left.
      await reader.cancel().catch(() => {});
    }
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {string} base
 * @param {string} route
 * @param {object} request
 * @returns {[url: string, init: RequestInit]}
 */
function toRequest(base, route, request) {
  const [method = "", template = ""] = route.split(" ");
  /** @type {Record<string, unknown>} */
  const rest = { ...request };
  const path = template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = rest[name];
    delete rest[name];
    return encodeURIComponent(String(value));
  });
  if (method === "POST") return [base + path, { method, body: JSON.stringify(rest) }];
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) query.set(name, String(value));
  return [base + path + (query.size > 0 ? `?${query}` : ""), { method }];
}

/**
 * @param {Connection} connection
 * @param {RequestInit} init
 * @returns {Promise<Record<string, string>>}
 */
async function headers({ token }, { body }) {
  const given = typeof token === "function" ? await token() : token;
  return {
    ...(given === undefined ? {} : { authorization: `Bearer ${given}` }),
    ...(body ? { "content-type": "application/json" } : {}),
  };
}

/**
 * At random, so that those who failed together don't come back together.
 * @param {number} attempt
 */
function backOff(attempt) {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
}

/**
 * @param {number} ms
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
