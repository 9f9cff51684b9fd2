/**
 * The client: a method for each operation but the import of lines, which is for scripts, in browsers and in Node.js, without anything else.
 * It sends a request again where that is right, after 503, 429 and lost connections, and never where the answer was final, or where twice is
 * more than once.
 *
 *   const client = couponClient({ token });
 *   const result = await client.issueCoupon({ coupon_id: 7 });
 *   if (result.outcome === "issued") console.log(`number ${result.position}`);
 */
import { CouponError } from "./client-error.js";
import {
  backOff,
  bearer,
  hasOrigin,
  isBase,
  LONGEST_RETRY_AFTER,
  readCsv,
  send,
  sleep,
  toRequest,
} from "./client-request.js";
import { watch } from "./client-watch.js";
import { createServerClock } from "./server-clock.js";

export { CouponError };

/** @typedef {import("./client-request.js").Connection} Connection */
/** @typedef {import("./client-request.js").Operation} Operation */
/** @typedef {import("../api/contract-types.ts").OperationName} OperationName */
/** @typedef {import("../api/contract-types.ts").FeedName} FeedName */
/** @typedef {import("../api/contract-types.ts").ListName} ListName */
/** @typedef {Exclude<OperationName, "importUserLines">} MethodName */
/** @typedef {Exclude<MethodName, FeedName | ListName>} CallName */

/**
 * @template {OperationName} K
 * @typedef {import("../api/contract-types.ts").RequestOf<K>} RequestOf
 */

/**
 * @template {OperationName} K
 * @typedef {import("../api/contract-types.ts").ResultOf<K>} ResultOf
 */

/**
 * Its answers are known by members that each of its results has.
 * @template {OperationName} K
 * @typedef {readonly [import("../api/contract-types.ts").RouteOf<K>, ...(Operation[1] & keyof ResultOf<K>)[]]} OperationOf
 */

/**
 * A request has no members, or all may be left out, or not.
 * @template {OperationName} K
 * @typedef {Partial<RequestOf<K>> extends RequestOf<K>
 *   ? [request?: RequestOf<K>, how?: { signal?: AbortSignal | undefined }]
 *   : [request: RequestOf<K>, how?: { signal?: AbortSignal | undefined }]} Arguments
 */

/**
 * A stream that nothing can be asked of takes no request.
 * @template {FeedName} K
 * @typedef {keyof RequestOf<K> extends never ? [how?: { signal?: AbortSignal | undefined }] : Arguments<K>} StreamArguments
 */

/**
 * A call answers with the result of its operation: of a command each outcome, refusals too. It throws a CouponError for all else,
 * and the signal's reason when that is aborted. A stream yields states for ever, over lost connections, until its signal is
 * aborted or the loop is left. While there is no stream, it asks for the state every two seconds, and for the stream again when it may.
 * The stream of events yields each event once, and goes on after the last one: keep its id, to go on there another time.
 * A list of any length is answered by its CSV, all of it: one that broke off throws, and is not asked for again.
 * @typedef {{ [K in CallName]: (...given: Arguments<K>) => Promise<ResultOf<K>> }
 *   & { [K in ListName]: (...given: Arguments<K>) => Promise<Blob> }
 *   & { [K in FeedName]: (...given: StreamArguments<K>) => AsyncGenerator<ResultOf<K>, void> }
 *   & { serverNow: () => number }} CouponClient
 */

/**
 * @typedef {object} Options
 * @property {string | undefined} [baseUrl] Where the service is; in a browser the page's own origin.
 * @property {string | (() => string | Promise<string>) | undefined} [token] The bearer token, or what gives one; none for who only looks.
 * @property {typeof globalThis.fetch | undefined} [fetch] Another one than the platform's.
 * @property {number | undefined} [attempts] How often a request is sent at most.
 * @property {number | undefined} [attemptMs] How long one attempt may take: beyond what the service itself allows.
 */

const OPERATIONS = /** @satisfies {{ [K in MethodName]: OperationOf<K> }} */ ({
  createCoupon: ["POST /coupons", "outcome"],
  findCouponByCode: ["GET /coupons", "coupon_id"],
  liveCoupons: ["GET /coupons/live", "coupons"],
  upcomingCoupons: ["GET /coupons/upcoming", "coupons"],
  watchCoupons: ["GET /coupons/events", "live", "upcoming"],
  listCoupons: ["GET /coupons/list", "coupons"],
  couponStatus: ["GET /coupons/status", "coupons", "outcomes"],
  watchStatus: ["GET /coupons/status/events", "coupons", "outcomes"],
  findCoupon: ["GET /coupons/{coupon_id}", "coupon_id"],
  couponStats: ["GET /coupons/{coupon_id}/stats", "coupon_id"],
  couponTimeline: ["GET /coupons/{coupon_id}/timeline", "buckets"],
  dailySummary: ["GET /daily-summary", "days"],
  auditTrail: ["GET /audit", "entries"],
  listEvents: ["GET /events", "events"],
  watchEvents: ["GET /events/stream", "id", "type"],
  issueCoupon: ["POST /coupons/{coupon_id}/issue", "outcome"],
  useCoupon: ["POST /coupons/{coupon_id}/use", "outcome"],
  useClaim: ["POST /claims/use", "outcome"],
  undoUse: ["POST /coupons/{coupon_id}/undo-use", "outcome"],
  undoClaim: ["POST /claims/undo-use", "outcome"],
  pauseCoupon: ["POST /coupons/{coupon_id}/pause", "outcome"],
  resumeCoupon: ["POST /coupons/{coupon_id}/resume", "outcome"],
  setCouponCount: ["POST /coupons/{coupon_id}/count", "outcome"],
  setCouponExpiry: ["POST /coupons/{coupon_id}/expiry", "outcome"],
  setCouponStart: ["POST /coupons/{coupon_id}/start", "outcome"],
  setCouponGroup: ["POST /coupons/{coupon_id}/group", "outcome"],
  editCoupon: ["POST /coupons/{coupon_id}/edit", "outcome"],
  withdrawCoupon: ["POST /coupons/{coupon_id}/withdraw", "outcome"],
  listPlan: ["GET /plan", "entries"],
  setPlanEntry: ["POST /plan", "outcome"],
  removePlanEntry: ["POST /plan/remove", "outcome"],
  previewDays: ["GET /plan/preview", "coupons"],
  fillDays: ["POST /plan/fill", "coupons"],
  copyDay: ["POST /plan/copy-day", "coupons"],
  me: ["GET /me", "role"],
  wallet: ["GET /users/{user_id}/coupons", "coupons"],
  retireCoupons: ["POST /coupons/retire", "outcome"],
  forgetUser: ["POST /users/{user_id}/forget", "outcome"],
  addToGroup: ["POST /groups/{group_name}/add", "users"],
  removeFromGroup: ["POST /groups/{group_name}/remove", "users"],
  listGroups: ["GET /groups", "groups"],
  listGroup: ["GET /groups/{group_name}"],
  listWebhooks: ["GET /webhooks", "webhooks"],
  setWebhook: ["POST /webhooks", "outcome"],
  rotateWebhookSecret: ["POST /webhooks/{webhook_name}/rotate-secret", "outcome"],
  enableWebhook: ["POST /webhooks/{webhook_name}/enable", "outcome"],
  disableWebhook: ["POST /webhooks/{webhook_name}/disable", "outcome"],
  removeWebhook: ["POST /webhooks/{webhook_name}/remove", "outcome"],
  resendWebhook: ["POST /webhooks/{webhook_name}/resend", "outcome"],
  listWebhookDeliveries: ["GET /webhooks/{webhook_name}/deliveries", "deliveries"],
  findSubjects: ["GET /subjects", "subjects"],
  listKeys: ["GET /keys", "keys"],
  revokeKey: ["POST /keys/revoke", "outcome"],
  importUsers: ["POST /users", "users"],
  listUsers: ["GET /users"],
  listGrants: ["GET /coupons/{coupon_id}/grants"],
  demoToken: ["POST /demo/token", "token"],
  livez: ["GET /livez", "status"],
  readyz: ["GET /readyz", "status"],
});

/** @typedef {(name: CallName, request?: object) => Promise<any>} Read One question: undefined where the service can't tell now. */

/**
 * What a stream is asked for, and what comes next while there is none; `before` is the state before.
 * @typedef {object} Stream
 * @property {AbortSignal | undefined} signal
 * @property {(before: any) => object | undefined} request None as long as only `ask` can tell where it begins.
 * @property {(read: Read, before: any) => Promise<readonly unknown[]>} ask
 */

/**
 * Those that yield states instead of answering once, by the arguments of their methods.
 * @type {Partial<Record<string, (...given: any[]) => Stream>>}
 */
const STREAMS = {
  watchCoupons: ({ signal } = {}) => ({
    signal,
    request: () => ({}),
    // First pages: what the service always has for everybody.
    async ask(read, before) {
      const waiting = await read("upcomingCoupons");
      const live = await read("liveCoupons");
      return waiting && live ? [stateOf(waiting, live, before)] : [];
    },
  }),
  watchStatus: ({ signal } = {}) => ({
    signal,
    request: () => ({}),
    async ask(read) {
      const status = await read("couponStatus");
      return status ? [status] : [];
    },
  }),
  watchEvents(given = {}, { signal } = {}) {
    let { after } = given;
    const behind = (/** @type {any} */ before) => ({ ...given, after: before?.id ?? after });
    return {
      signal,
      // The newest one is another one later: a page tells which it is, and none after it is missed.
      request: (before) => (behind(before).after === "latest" ? undefined : behind(before)),
      async ask(read, before) {
        const page = await read("listEvents", behind(before));
        if (page?.events.length === 0 && after === "latest") after = undefined;
        return page?.events ?? [];
      },
    };
  },
};
/** @type {ReadonlySet<string>} */
const LISTS = new Set(/** @satisfies {ListName[]} */ (["listUsers", "listGroup", "listGrants"]));

/** @param {{ used_date?: string }} request */
const undoesAnyUse = ({ used_date }) => used_date === undefined;
/**
 * Done again they do more: another new secret, and the one that the receiver has is out; a later use is undone, where the request does not
 * say which it means. They are sent again only where nothing was done.
 * @type {Record<string, (request: any) => boolean>}
 */
const DOES_MORE = /** @satisfies {Partial<Record<CallName, (request: any) => boolean>>} */ ({
  rotateWebhookSecret: () => true,
  undoUse: undoesAnyUse,
  undoClaim: undoesAnyUse,
});
/** Problems after which nothing was done. */
const NOTHING_DONE = new Set([
  ...["rate_limited", "overloaded", "database_unavailable", "writes_stalled", "keys_unavailable"],
]);

/** Upcoming coupons of a state, as in the stream. */
const UPCOMING = 10;

/**
 * The state that two lists tell. Caches keep each for a second, so they are of different times: what started in between is in both, and is
 * live, or in neither, and is told as it was before.
 * @param {any} waiting
 * @param {any} live
 * @param {any} before
 */
function stateOf(waiting, live, before) {
  /** @param {{ coupon_id: number }} coupon */
  const isLive = ({ coupon_id }) =>
    live.coupons.some((/** @type {{ coupon_id: number }} */ other) => other.coupon_id === coupon_id);
  const [first, last] = [Date.parse(live.server_time), Date.parse(waiting.server_time)];
  /** @param {{ start_time: string }} coupon */
  const startedBetween = ({ start_time }) => Date.parse(start_time) > first && Date.parse(start_time) <= last;
  const upcoming = [...(before?.upcoming ?? []).filter(startedBetween), ...waiting.coupons];
  return {
    live: live.coupons,
    upcoming: upcoming.filter((coupon) => !isLive(coupon)).slice(0, UPCOMING),
    server_time: waiting.server_time,
  };
}

/** Of a client: retries that can be made at once, and what a request that was answered finally adds to that. */
const RETRY_BUDGET = 10;
const RETRY_REFILL = 0.2;
/**
 * @param {Options} [options]
 * @returns {CouponClient}
 */
export function couponClient({ baseUrl = "", token, fetch: given, attempts = 5, attemptMs = 15_000 } = {}) {
  // As it is when a request is sent: frameworks, and what stands in for the service in tests, replace it later.
  const fetch = given ?? ((...request) => globalThis.fetch(...request));
  // Not when the client is made: a page that is rendered in advance makes one too. A fetch of the caller's may know where the service is.
  const insist = () => {
    if (typeof token === "string") bearer(token);
    if (given) return;
    if (baseUrl === "" && !hasOrigin()) throw new TypeError("baseUrl is needed: there is no origin here");
    if (baseUrl !== "" && !isBase(baseUrl))
      throw new TypeError("baseUrl must be an http:// or https:// URL without login, query and fragment");
  };
  const clock = createServerClock();
  /** @type {Connection} */
  const connection = {
    ...{ base: baseUrl.replace(/\/+$/, ""), token, fetch, attempts, attemptMs, clock },
    budget: RETRY_BUDGET,
  };
  /** @type {Record<string, unknown>} */
  const client = { serverNow: clock.now };
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const open = STREAMS[name];
    client[name] = open
      ? (/** @type {unknown[]} */ ...asked) => {
          insist();
          return follow(connection, operation, open(...asked));
        }
      : async (request = {}, /** @type {{ signal?: AbortSignal | undefined }} */ { signal } = {}) => {
          insist();
          return LISTS.has(name)
            ? readCsv(connection, toRequest(connection.base, operation, request), signal)
            : call(connection, operation, request, signal, DOES_MORE[name]?.(request) ?? false);
        };
  }
  return /** @type {CouponClient} */ (client);
}

/**
 * @param {Connection} connection
 * @param {Operation} operation
 * @param {Stream} stream
 */
function follow(connection, operation, { signal, request, ask }) {
  const read = reader(connection, signal);
  /** @param {unknown} before */
  const next = (before) => {
    const given = request(before);
    return given && toRequest(connection.base, operation, given);
  };
  return watch(connection, next, (before) => ask(read, before), signal);
}

/**
 * @param {Connection} connection
 * @param {Operation} operation
 * @param {object} request
 * @param {AbortSignal | undefined} signal
 * @param {boolean} isOnce
 * @returns {Promise<unknown>}
 */
async function call(connection, operation, request, signal, isOnce) {
  const sent = toRequest(connection.base, operation, request);
  for (let attempt = 1; ; attempt++) {
    const { result, error, wait } = await send(connection, sent, signal);
    if (error === undefined) {
      connection.budget = Math.min(RETRY_BUDGET, connection.budget + RETRY_REFILL);
      return result;
    }
    const isLast = attempt >= connection.attempts || connection.budget < 1;
    const mayBeDone = isOnce && !NOTHING_DONE.has(error.outcome);
    if (wait === undefined || wait > LONGEST_RETRY_AFTER || isLast || mayBeDone) throw error;
    connection.budget -= 1;
    await sleep(Math.max(wait * (1 + Math.random() / 4), backOff(attempt)), signal);
  }
}

/**
 * Asks once: undefined where the service can't tell now.
 * @param {Connection} connection
 * @param {AbortSignal | undefined} signal
 * @returns {(name: CallName, request?: object) => Promise<unknown>}
 */
function reader(connection, signal) {
  return async (name, request = {}) => {
    const sent = toRequest(connection.base, OPERATIONS[name], request);
    const { result, error, wait } = await send(connection, sent, signal).catch(() => {
      signal?.throwIfAborted();
      // What gives the token has failed, since the connection is lost maybe.
      return { result: undefined, error: undefined, wait: undefined };
    });
    if (error && wait === undefined) throw error;
    return result;
  };
}
