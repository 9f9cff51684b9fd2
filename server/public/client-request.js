/** One attempt of a request, for the client: what is sent, what its answer means, and how long to wait before the next. */
import { CouponError, isText, parse, toError } from "./client-error.js";

/** Statuses of a request that was not answered finally: the same again is right. */
export const AGAIN = new Set([429, 502, 503, 504]);
/** Problems with these are outcomes of an operation that has some; 400, 401, 403 and the like are mistakes of the caller. */
const REFUSALS = new Set([404, 409]);

/** Wait before the second attempt where the service doesn't say, ms; it doubles. */
const FIRST_WAIT = 200;
const LONGEST_WAIT = 10_000;
/** Longer than this the client doesn't wait because the service, or whoever answers in its place, asks for it: the caller decides. */
export const LONGEST_RETRY_AFTER = 30_000;

/** Caches may keep an answer for two seconds, and there may be several, s. */
const MOST_AGE_S = 10;

/** So long after a command the service is told of it, ms: reads of a standby, which may lag, are then those of the primary. */
const CHANGED_MS = 5_000;

/**
 * No cache of fetch() itself may answer: that of a browser would not say how old its answer is, and on a server Next.js keeps what it
 * was answered when a page was built. Cloudflare's workers refuse to be told so, with a compatibility date before 2024-11-11.
 * @returns {{ cache?: "no-store" }}
 */
function anew() {
  const how = /** @type {const} */ ({ cache: "no-store" });
  try {
    void new Request("https://coupons.example", { method: "GET", ...how });
    return how;
  } catch {
    return {};
  }
}

/**
 * What the calls of one client share.
 * @typedef {object} Connection
 * @property {string} base
 * @property {string | (() => string | Promise<string>) | undefined} token
 * @property {typeof globalThis.fetch} fetch
 * @property {number} attempts
 * @property {number} attemptMs
 * @property {number} budget Retries that can be made now.
 * @property {ReturnType<typeof import("./server-clock.js").createServerClock>} clock
 * @property {number} [changedAt] When the last command was answered, or given up, on performance.now().
 */

/**
 * An operation: its route, and the members by which its answers are known from those of a proxy, a login or a health check.
 * @typedef {readonly [route: string, ...has: (keyof typeof KINDS)[]]} Operation
 */

/**
 * @typedef {object} Request
 * @property {string} url
 * @property {RequestInit} init
 * @property {(keyof typeof KINDS)[]} has
 */

/** @param {unknown} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** @param {unknown} value */
const isList = (value) => Array.isArray(value) && value.every(isObject);

/** What a member is, wherever it stands. */
const KINDS = {
  outcome: isText,
  coupon_id: Number.isFinite,
  coupons: isList,
  live: isList,
  upcoming: isList,
  subjects: isList,
  keys: isList,
  users: isList,
  groups: isList,
  buckets: isList,
  days: isList,
  entries: isList,
  events: isList,
  webhooks: isList,
  deliveries: isList,
  id: isText,
  type: isText,
  outcomes: isObject,
  token: isText,
  role: isText,
  status: isText,
};

/**
 * The first of these members that an answer doesn't have.
 * @param {Record<string, unknown>} body
 * @param {Request["has"]} has
 */
export function missing(body, has) {
  return has.find((member) => !KINDS[member](body[member]));
}

/**
 * One attempt: its result, or the error with, where the same again is right, how long to wait at least, ms.
 * @param {Connection} connection
 * @param {Request} request
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<{ result?: unknown, error?: CouponError, wait?: number }>}
 */
export async function send(connection, request, signal) {
  try {
    return await attempt(connection, request, signal);
  } finally {
    if (request.init.method === "POST") connection.changedAt = performance.now();
  }
}

/** @type {typeof send} */
async function attempt(connection, { url, init, has }, signal) {
  const given = await headers(connection, init, signal);
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
    return { error: lost(cause, "There was no answer; the request may have been done.", signal), wait: 0 };
  }
  const body = parse(text);
  if (body === undefined || AGAIN.has(response.status)) {
    const error = toError(response, body);
    return AGAIN.has(response.status) ? { error, wait: (error.retryAfter ?? 0) * 1000 } : { error };
  }
  if (response.ok) {
    const member = missing(body, has);
    if (member) return { error: toError(response, { detail: `The answer has no ${member}.` }) };
    connection.clock.heard(body["server_time"], ageOf(response.headers));
    return { result: body };
  }
  const isRefusal =
    REFUSALS.has(response.status) &&
    has.includes("outcome") &&
    !missing(body, has) &&
    body["outcome"] !== "no_such_route";
  return isRefusal ? { result: body } : { error: toError(response, body) };
}

/**
 * A list as CSV, however long it takes. It has no last line: if it ended early, the connection broke.
 * @param {Connection} connection
 * @param {Request} request
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Blob>}
 */
export async function readCsv(connection, { url, init }, signal) {
  const given = { ...(await headers(connection, init, signal)), accept: "text/csv" };
  let response;
  let text = '{"detail":"The answer is no CSV."}';
  try {
    response = await connection.fetch(url, { ...init, headers: given, ...(signal && { signal }) });
    if (response.ok && /^text\/csv *(;|$)/i.test(response.headers.get("content-type") ?? ""))
      return await response.blob();
    if (!response.ok) text = await response.text();
  } catch (cause) {
    throw lost(cause, "The list has not come to its end.", signal);
  }
  throw toError(response, parse(text));
}

/**
 * What fetch() failed with, as an error of ours. An error with a digest is not for us: by it Next.js ends a rendering in advance, whose
 * answers would be kept.
 * @param {unknown} cause
 * @param {string} detail
 * @param {AbortSignal | undefined} signal
 */
function lost(cause, detail, signal) {
  signal?.throwIfAborted();
  if (Object.hasOwn(Object(cause), "digest")) throw cause;
  return new CouponError("connection_lost", detail, {}, { cause });
}

/**
 * How old an answer is, ms: what the service says, and what caches on the way add to it. They subtract its Date from their own clock
 * (RFC 9111, 4.2.3), and either clock may be wrong: an Age beyond what they may keep an answer for tells of that.
 * @param {Headers} headers
 */
function ageOf(headers) {
  const given = (/** @type {string} */ name) => {
    const text = headers.get(name) ?? "";
    return /^\d{1,9}$/.test(text) ? Number(text) : 0;
  };
  const age = given("age");
  return given("x-age-ms") + (age > MOST_AGE_S ? 0 : age * 1000);
}

/**
 * @param {string} base
 * @param {Operation} operation
 * @param {object} request
 * @returns {Request}
 */
export function toRequest(base, [route, ...has], request) {
  const [method = "", template = ""] = route.split(" ");
  /** @type {Record<string, unknown>} */
  const rest = { ...request };
  const path = template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = rest[name];
    delete rest[name];
    if (value === undefined || value === null) throw new TypeError(`${name} is needed: ${route}`);
    return encodeURIComponent(String(value));
  });
  const init = { method, ...anew() };
  if (method === "POST") return { url: base + path, init: { ...init, body: JSON.stringify(rest) }, has };
  const query = new URLSearchParams();
  // Of a page behind which nothing is, next_after is null.
  for (const [name, value] of Object.entries(rest))
    if (value !== undefined && value !== null) query.set(name, String(value));
  return { url: base + path + (query.size > 0 ? `?${query}` : ""), init, has };
}

/**
 * @param {Connection} connection
 * @param {RequestInit} init
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Record<string, string>>}
 */
export async function headers({ token, changedAt = -CHANGED_MS }, { body }, signal) {
  const changed = Math.floor(performance.now() - changedAt);
  return {
    ...bearer(typeof token === "function" ? await orAborted(token(), signal) : token),
    ...(body
      ? { "content-type": "application/json" }
      : changed < CHANGED_MS
        ? { "x-changed-ms": `${changed}` }
        : {}),
  };
}

/**
 * What fetch() would refuse as it does when there is no connection is the caller's mistake.
 * @param {string | undefined} token
 * @returns {Record<string, string>}
 */
export function bearer(token) {
  if (!token) return {};
  const given = { authorization: `Bearer ${token}` };
  try {
    new Headers(given);
  } catch {
    throw new TypeError("token has a character that no header can have");
  }
  return given;
}

/**
 * Whether fetch() takes it, with a path behind it: in a page it may be a path of its own.
 * @param {string} base
 */
export function isBase(base) {
  try {
    // Refuses a login in it, too.
    const { protocol } = new URL(new Request(base).url);
    return (
      ["http:", "https:", Reflect.get(globalThis, "location")?.protocol].includes(protocol) &&
      !/[?#]/.test(base)
    );
  } catch {
    return false;
  }
}

/** Whether there is an origin: in a page and in its workers, but in those that bundlers make of a blob. */
export function hasOrigin() {
  const [page, place] = ["document", "location"].map((name) => Reflect.get(globalThis, name));
  return /^[\w-]+:\/\//.test(page?.baseURI ?? place?.href ?? "");
}

/**
 * At random, so that those who failed together don't come back together.
 * @param {number} attempt
 */
export function backOff(attempt) {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
}

/**
 * What it comes to, unless the signal is aborted before: what gives a token may never do so.
 * @template T
 * @param {T | Promise<T>} given
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
function orAborted(given, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal?.reason);
    void Promise.resolve(given)
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener("abort", abort));
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

/**
 * @param {number} ms
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
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
