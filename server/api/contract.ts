/**
 * The API, operation by operation: where it is, who may call it, what goes in and what comes out. The routes take their checks
 * from here, the OpenAPI document and the client's types are made of it.
 */
import type { z } from "zod";
import * as answers from "./answers.ts";
import type { Role, Scope } from "./caller.ts";
import { ADMIN, changes, MAX_COUPON_BODY, TILLS } from "./changes.ts";
import { eventing } from "./events.ts";
import { grouping } from "./groups.ts";
import { keying } from "./keys.ts";
import * as lines from "./line-answers.ts";
import type { Command } from "./outcomes.ts";
import { planning } from "./plan.ts";
import * as requests from "./requests.ts";
import { subjecting } from "./subjects.ts";
import { hooking } from "./webhooks.ts";

export interface Operation {
  route: `${"GET" | "POST"} /${string}`;
  tag: "Coupons" | "Users" | "Operating";
  summary: string;
  description?: string;
  /** Null: no token is needed. */
  roles: readonly Role[] | null;
  /** A service whose key has this scope may call it too, whatever else the key may not; `any`: whatever the key is limited to. */
  scope?: Scope | "any";
  /** What is on offer: no token is needed unless PUBLIC_OFFERS is off. One that is sent must be valid. */
  isOffer?: true;
  path?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodObject;
  /** Instead of a body that is read whole: a stream of lines of JSON, each like this. */
  lines?: z.ZodObject;
  /** Bytes of the body, at most. */
  maxBody?: number;
  /** A command answers with an outcome of this list besides `answer`, a read with `answer` alone. */
  command?: Command;
  answer: z.ZodObject;
  /** Of an answer that is a stream: each of its lines, or the data of each of its events, is an `answer`. */
  stream?: "text/event-stream" | "application/x-ndjson";
  /** The name of a stream's events; without one, each has the id of its answer. */
  event?: string;
  /** Of a list in lines: the columns that it has as CSV. */
  columns?: readonly string[];
  /** Outcomes that are no success and not those of the command or of any request, with their status. */
  problems?: Readonly<Record<string, number>>;
  /** It asks no database. */
  asksNothing?: true;
  /** It is going to end: its answers say so. Not of event streams, nor of what is answered before the router: offers and issueCoupon. */
  deprecated?: Deprecated;
}

/** Instants in RFC 3339: since when an operation is deprecated, and from when on it may be gone. */
export interface Deprecated {
  since: string;
  sunset?: string;
}

const ANYONE = ["user", "service", "admin"] as const;

/** Bytes of a body. */
export const MAX_BODY = 16 * 1024;
const MAX_USERS_BODY = 4 * 1024 * 1024;

const notFound = { coupon_not_found: 404 } as const;

export const contract = {
  createCoupon: {
    route: "POST /coupons",
    tag: "Coupons",
    summary: "Create a coupon",
    description: "A day has at most three coupons, with different codes, start times and counts.",
    roles: ADMIN,
    body: requests.newCoupon,
    maxBody: MAX_COUPON_BODY,
    command: "create_coupon",
    answer: answers.created,
  },
  findCouponByCode: {
    route: "GET /coupons",
    tag: "Coupons",
    summary: "A coupon by its code",
    roles: ["service", "admin"],
    scope: "read",
    query: requests.byCode,
    answer: answers.offer,
    problems: notFound,
  },
  liveCoupons: {
    route: "GET /coupons/live",
    tag: "Coupons",
    summary: "The coupons that have started and not expired, the last one to start first",
    roles: ANYONE,
    scope: "read",
    isOffer: true,
    query: requests.liveQuery,
    answer: answers.live,
  },
  upcomingCoupons: {
    route: "GET /coupons/upcoming",
    tag: "Coupons",
    summary: "The next coupons to start",
    roles: ANYONE,
    scope: "read",
    isOffer: true,
    query: requests.upcomingQuery,
    answer: answers.upcoming,
  },
  watchCoupons: {
    route: "GET /coupons/events",
    tag: "Coupons",
    summary: "Live and upcoming coupons, as a stream of events",
    description:
      "Server-Sent Events named coupons: the hundred live coupons that started last and the next ten to come; first the current state, then at most one update per second, when something has changed. " +
      "A server process has places for 15,000 streams at most. Whoever finds none (503) asks for GET /coupons/live and " +
      "GET /coupons/upcoming every two seconds, and for the stream again after Retry-After, as the client does. A stream ends after " +
      "a quarter of an hour at most: connect again.",
    roles: ANYONE,
    scope: "read",
    isOffer: true,
    answer: answers.couponsState,
    stream: "text/event-stream",
    event: "coupons",
  },
  listCoupons: {
    route: "GET /coupons/list",
    tag: "Operating",
    summary: "All coupons, past ones too, the last one to start first",
    description:
      "Those that fit all that is given. Pages hold while coupons are created, changed or deleted: one that stays where it is comes once.",
    roles: ADMIN,
    query: requests.listQuery,
    answer: answers.listedCoupons,
  },
  couponStatus: {
    route: "GET /coupons/status",
    tag: "Operating",
    summary: "Every coupon that is live, upcoming or of today, with its speed",
    roles: ADMIN,
    answer: answers.couponStatuses,
  },
  watchStatus: {
    route: "GET /coupons/status/events",
    tag: "Operating",
    summary: "Every coupon that is live, upcoming or of today, with its speed, as a stream of events",
    description: "Server-Sent Events named status, one per second.",
    roles: ADMIN,
    answer: answers.couponStatuses,
    stream: "text/event-stream",
    event: "status",
  },
  findCoupon: {
    route: "GET /coupons/{coupon_id}",
    tag: "Coupons",
    summary: "A coupon",
    roles: ANYONE,
    scope: "read",
    isOffer: true,
    path: requests.couponPath,
    answer: answers.offer,
    problems: notFound,
  },
  couponStats: {
    route: "GET /coupons/{coupon_id}/stats",
    tag: "Operating",
    summary: "How a drop went",
    roles: ADMIN,
    path: requests.couponPath,
    answer: answers.couponStats,
    problems: notFound,
  },
  couponTimeline: {
    route: "GET /coupons/{coupon_id}/timeline",
    tag: "Operating",
    summary: "A drop over time: requests, grants and refusals in each second, or in another bucket",
    description:
      "From the bucket of the first request to that of the last, at most 10,000: for a longer time the problem names a bucket that would do. " +
      "Of refusals only the second is known, and after a month the quarter of an hour.",
    roles: ADMIN,
    path: requests.couponPath,
    query: requests.timelineQuery,
    answer: answers.couponTimeline,
    problems: notFound,
  },
  dailySummary: {
    route: "GET /daily-summary",
    tag: "Operating",
    summary: "What each day offered and gave",
    description: "A row for each day, at most 366; by default the last seven.",
    roles: ADMIN,
    query: requests.summaryQuery,
    answer: answers.dailySummary,
  },
  auditTrail: {
    route: "GET /audit",
    tag: "Operating",
    summary: "Who changed what, when and why, newest first",
    description: "Issuing is not in it: a grant is its own record.",
    roles: ADMIN,
    query: requests.auditQuery,
    answer: answers.auditTrail,
  },
  issueCoupon: {
    route: "POST /coupons/{coupon_id}/issue",
    tag: "Coupons",
    summary: "Issue a coupon to a user: the drop",
    description:
      "First come, first served. Retries are safe at any time: a user who already holds the coupon gets the same position again.",
    roles: ANYONE,
    scope: "issue",
    path: requests.couponPath,
    body: requests.forUser,
    command: "issue_coupon",
    answer: answers.issued,
  },
  useCoupon: {
    route: "POST /coupons/{coupon_id}/use",
    tag: "Coupons",
    summary: "Use a coupon, once",
    roles: ANYONE,
    path: requests.couponPath,
    body: requests.use,
    command: "use_coupon",
    answer: answers.used,
  },
  useClaim: {
    route: "POST /claims/use",
    tag: "Coupons",
    summary: "Use the coupon of a claim code, once: at a till",
    description:
      "The answer says what is given to whom. Make the reference once for each code that is scanned, and send the same one until there " +
      "is an answer. Whoever sends ten codes in ten seconds that are none has to wait.",
    roles: TILLS,
    scope: "use",
    body: requests.useClaim,
    command: "use_claim",
    answer: answers.claimed,
    problems: { rate_limited: 429 },
  },
  ...changes,
  ...planning,
  ...eventing,
  ...grouping,
  ...hooking,
  ...subjecting,
  ...keying,
  wallet: {
    route: "GET /users/{user_id}/coupons",
    tag: "Users",
    summary: "The coupons that a user holds, newest day first",
    roles: ANYONE,
    scope: "read",
    path: requests.userPath,
    query: requests.walletQuery,
    answer: answers.wallet,
  },
  forgetUser: {
    route: "POST /users/{user_id}/forget",
    tag: "Users",
    summary: "Forget a person, for ever",
    description:
      "The name goes, and the references of uses, and the words of the audit that tell of the person. The number stays, with its coupons and " +
      "their positions. Nothing is issued to it any more, it uses nothing, and no import makes it again.",
    roles: ADMIN,
    path: requests.userPath,
    body: requests.why,
    command: "forget_user",
    answer: answers.forgotten,
  },
  importUsers: {
    route: "POST /users",
    tag: "Users",
    summary: "Create or rename users",
    description: "At most 10,000 users, all or nothing. Sending the same users again changes nothing.",
    roles: ADMIN,
    body: requests.newUsers,
    maxBody: MAX_USERS_BODY,
    answer: answers.importedUsers,
  },
  demoToken: {
    route: "POST /demo/token",
    tag: "Operating",
    summary: "A token to try the service",
    description:
      "For whoever sends the demo key as bearer token, or for everybody, as the settings DEMO and DEMO_KEY say. Others get 404.",
    roles: null,
    body: requests.demoCaller,
    answer: answers.token,
    problems: { no_such_route: 404 },
    asksNothing: true,
  },
  importUserLines: {
    route: "POST /users/import",
    tag: "Users",
    summary: "Create or rename any number of users, as a stream of lines",
    description:
      "Send one user per line; each line is answered by one line while the upload goes on. A wrong line is reported, and the others are " +
      "imported. The last line says done, or what went wrong and from which line to send again.",
    roles: ADMIN,
    query: requests.whyQuery,
    lines: requests.newUser,
    answer: lines.importedLine,
    stream: "application/x-ndjson",
  },
  listUsers: {
    route: "GET /users",
    tag: "Users",
    summary: "All users, as a stream of lines or as CSV",
    description: `One user per line, by id. The last line says done, or what went wrong and after which id to continue. ${requests.AS_CSV}`,
    roles: ADMIN,
    query: requests.afterUserQuery,
    answer: lines.listedUser,
    stream: "application/x-ndjson",
    columns: ["user_id", "display_name"],
  },
  listGrants: {
    route: "GET /coupons/{coupon_id}/grants",
    tag: "Operating",
    summary: "The users who hold a coupon, as a stream of lines or as CSV",
    description: `One grant per line, by position. The last line says done, or what went wrong and after which position to continue. ${requests.AS_CSV}`,
    roles: ADMIN,
    path: requests.couponPath,
    query: requests.afterPositionQuery,
    answer: lines.listedGrant,
    stream: "application/x-ndjson",
    columns: ["position", "user_id", "issued_on", "issued_at", "used_date", "use_reference"],
    problems: notFound,
  },
  livez: {
    route: "GET /livez",
    tag: "Operating",
    summary: "Whether the process runs",
    roles: null,
    answer: answers.health,
    asksNothing: true,
  },
  readyz: {
    route: "GET /readyz",
    tag: "Operating",
    summary: "Whether the server can serve requests",
    roles: null,
    answer: answers.health,
    problems: { draining: 503, migrations_pending: 503, server_too_old: 503 },
  },
} as const satisfies Record<string, Operation>;
