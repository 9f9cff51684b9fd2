/**
 * The API, operation by operation: where it is, who may call it, what goes in and what comes out. The routes take their checks
 * from here, the OpenAPI document and the client's types are made of it.
 */
import type { z } from "zod";
import type { Role } from "./caller.ts";
import type { Command, outcomes } from "./outcomes.ts";
import * as s from "./schemas.ts";

export interface Operation {
  route: `${"GET" | "POST"} /${string}`;
  tag: "Coupons" | "Users" | "Operating";
  summary: string;
  description?: string;
  /** Null: no token is needed. */
  roles: readonly Role[] | null;
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
  /** Outcomes that are no success and not those of the command or of any request, with their status. */
  problems?: Readonly<Record<string, number>>;
  /** Response headers that only this one has. */
  headers?: readonly "etag"[];
}

const ANYONE = ["user", "service", "admin"] as const;
const ADMIN = ["admin"] as const;

/** Bytes of a body; a list of users may be larger. */
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
    body: s.newCoupon,
    command: "create_coupon",
    answer: s.created,
  },
  findCouponByCode: {
    route: "GET /coupons",
    tag: "Coupons",
    summary: "A coupon by its code",
    roles: ["service", "admin"],
    query: s.byCode,
    answer: s.offer,
    problems: notFound,
  },
  liveCoupons: {
    route: "GET /coupons/live",
    tag: "Coupons",
    summary: "The coupons that have started and not expired",
    description:
      "The answer has an ETag. Send it as If-None-Match: 304 means that nothing but server_time has changed.",
    roles: ANYONE,
    answer: s.offers,
    headers: ["etag"],
  },
  upcomingCoupons: {
    route: "GET /coupons/upcoming",
    tag: "Coupons",
    summary: "The next coupons to start",
    roles: ANYONE,
    query: s.upcomingQuery,
    answer: s.offers,
  },
  watchCoupons: {
    route: "GET /coupons/events",
    tag: "Coupons",
    summary: "Live and upcoming coupons, as a stream of events",
    description:
      "Server-Sent Events named coupons: first the current state, then at most one update per second, when something has changed. " +
      "A user can have ten streams open at one server; one more is answered 429.",
    roles: ANYONE,
    answer: s.couponsState,
    stream: "text/event-stream",
  },
  couponStatus: {
    route: "GET /coupons/status",
    tag: "Operating",
    summary: "Every coupon that is live, upcoming or of today, with its speed",
    roles: ADMIN,
    answer: s.couponStatuses,
  },
  watchStatus: {
    route: "GET /coupons/status/events",
    tag: "Operating",
    summary: "Every coupon that is live, upcoming or of today, with its speed, as a stream of events",
    description: "Server-Sent Events named status, one per second.",
    roles: ADMIN,
    answer: s.couponStatuses,
    stream: "text/event-stream",
  },
  findCoupon: {
    route: "GET /coupons/{coupon_id}",
    tag: "Coupons",
    summary: "A coupon",
    roles: ANYONE,
    path: s.couponPath,
    answer: s.offer,
    problems: notFound,
  },
  couponStats: {
    route: "GET /coupons/{coupon_id}/stats",
    tag: "Operating",
    summary: "How a drop went",
    roles: ADMIN,
    path: s.couponPath,
    answer: s.couponStats,
    problems: notFound,
  },
  issueCoupon: {
    route: "POST /coupons/{coupon_id}/issue",
    tag: "Coupons",
    summary: "Issue a coupon to a user: the drop",
    description:
      "First come, first served. Retries are safe at any time: a user who already holds the coupon gets the same position again.",
    roles: ANYONE,
    path: s.couponPath,
    body: s.forUser,
    command: "issue_coupon",
    answer: s.issued,
  },
  useCoupon: {
    route: "POST /coupons/{coupon_id}/use",
    tag: "Coupons",
    summary: "Use a coupon, once",
    roles: ANYONE,
    path: s.couponPath,
    body: s.use,
    command: "use_coupon",
    answer: s.used,
  },
  undoUse: {
    route: "POST /coupons/{coupon_id}/undo-use",
    tag: "Operating",
    summary: "Undo a use",
    description: "The answer says which use was undone.",
    roles: ADMIN,
    path: s.couponPath,
    body: s.undoUse,
    command: "undo_use",
    answer: s.used,
  },
  pauseCoupon: {
    route: "POST /coupons/{coupon_id}/pause",
    tag: "Operating",
    summary: "Pause a coupon",
    roles: ADMIN,
    path: s.couponPath,
    body: s.why,
    command: "pause_coupon",
    answer: s.changed,
  },
  resumeCoupon: {
    route: "POST /coupons/{coupon_id}/resume",
    tag: "Operating",
    summary: "Resume a paused coupon",
    roles: ADMIN,
    path: s.couponPath,
    body: s.why,
    command: "resume_coupon",
    answer: s.changed,
  },
  setCouponCount: {
    route: "POST /coupons/{coupon_id}/count",
    tag: "Operating",
    summary: "Change the number of units",
    roles: ADMIN,
    path: s.couponPath,
    body: s.newCount,
    command: "set_coupon_count",
    answer: s.stock,
  },
  setCouponExpiry: {
    route: "POST /coupons/{coupon_id}/expiry",
    tag: "Operating",
    summary: "Change when a coupon expires",
    roles: ADMIN,
    path: s.couponPath,
    body: s.newExpiry,
    command: "set_coupon_expiry",
    answer: s.changed,
  },
  wallet: {
    route: "GET /users/{user_id}/coupons",
    tag: "Users",
    summary: "The coupons that a user holds, newest day first",
    roles: ANYONE,
    path: s.userPath,
    query: s.walletQuery,
    answer: s.wallet,
  },
  importUsers: {
    route: "POST /users",
    tag: "Users",
    summary: "Create or rename users",
    description: "At most 10,000 users, all or nothing. Sending the same users again changes nothing.",
    roles: ADMIN,
    body: s.newUsers,
    maxBody: MAX_USERS_BODY,
    answer: s.importedUsers,
  },
  demoToken: {
    route: "POST /demo/token",
    tag: "Operating",
    summary: "A token to try the service",
    description:
      "The setting DEMO says who gets one: by default only clients on this machine. Others get 404.",
    roles: null,
    body: s.demoCaller,
    answer: s.token,
    problems: { no_such_route: 404 },
  },
  importUserLines: {
    route: "POST /users/import",
    tag: "Users",
    summary: "Create or rename any number of users, as a stream of lines",
    description:
      "Send one user per line; each line is answered by one line while the upload goes on. A wrong line is reported, and the others are " +
      "imported. The last line says done, or what went wrong and from which line to send again.",
    roles: ADMIN,
    query: s.whyQuery,
    lines: s.newUser,
    answer: s.importedLine,
    stream: "application/x-ndjson",
  },
  listUsers: {
    route: "GET /users",
    tag: "Users",
    summary: "All users, as a stream of lines",
    description:
      "One user per line, by id. The last line says done, or what went wrong and after which id to continue.",
    roles: ADMIN,
    query: s.afterUserQuery,
    answer: s.listedUser,
    stream: "application/x-ndjson",
  },
  listGrants: {
    route: "GET /coupons/{coupon_id}/grants",
    tag: "Operating",
    summary: "The users who hold a coupon, as a stream of lines",
    description:
      "One grant per line, by position. The last line says done, or what went wrong and after which position to continue.",
    roles: ADMIN,
    path: s.couponPath,
    query: s.afterPositionQuery,
    answer: s.listedGrant,
    stream: "application/x-ndjson",
    problems: notFound,
  },
  livez: {
    route: "GET /livez",
    tag: "Operating",
    summary: "Whether the process runs",
    roles: null,
    answer: s.health,
  },
  readyz: {
    route: "GET /readyz",
    tag: "Operating",
    summary: "Whether the server can serve requests",
    roles: null,
    answer: s.health,
    problems: { draining: 503, migrations_pending: 503, server_too_old: 503 },
  },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof contract;
type Contract = typeof contract;

type Shape<K extends OperationName, M extends string> =
  Contract[K] extends Record<M, infer S extends z.ZodType> ? z.infer<S> : Record<string, never>;

/** What a request brings, checked. */
export interface Given<K extends OperationName> {
  path: Shape<K, "path">;
  query: Shape<K, "query">;
  body: Shape<K, "body">;
}

type StatusOf<C extends Command, O extends keyof (typeof outcomes)[C]> = (typeof outcomes)[C][O] extends {
  status: infer S;
}
  ? S
  : never;

/** The outcomes of a command that are a success. */
export type Success<C extends Command> = {
  [O in keyof (typeof outcomes)[C]]: StatusOf<C, O> extends 200 | 201 ? O : never;
}[keyof (typeof outcomes)[C]];

/** The outcomes of a command that are none. */
export type Refusal<C extends Command> = Exclude<keyof (typeof outcomes)[C], Success<C>>;

/** The names of operations of one kind. */
export type CommandName = {
  [K in OperationName]: Contract[K] extends { command: Command } ? K : never;
}[OperationName];
/** Those that tell events, for ever. */
export type FeedName = {
  [K in OperationName]: Contract[K] extends { stream: "text/event-stream" } ? K : never;
}[OperationName];
/** Those that answer in lines, which is for scripts. */
export type LinesName = {
  [K in OperationName]: Contract[K] extends { stream: "application/x-ndjson" } ? K : never;
}[OperationName];
export type CommandOf<K extends CommandName> = Contract[K]["command"];
export type AnswerOf<K extends OperationName> = z.infer<Contract[K]["answer"]>;

// ---- As a client sees it --------------------------------------------------------------------------------------------

/** What must and what may be given, as it is once it is read: an id is a number in a path too. */
type Members<K extends OperationName, M extends string> =
  Contract[K] extends Record<M, infer S extends z.ZodType>
    ? { [P in keyof z.input<S>]: P extends keyof z.output<S> ? z.output<S>[P] : never }
    : unknown;

/** All members of a request, wherever they go. */
export type RequestOf<K extends OperationName> = Members<K, "path"> &
  Members<K, "query"> &
  Members<K, "body">;

type Problem = Omit<z.infer<typeof s.problem>, "outcome">;

/** What a call comes to: of a command one of its outcomes, with what is known then. */
export type ResultOf<K extends OperationName> = K extends CommandName
  ?
      | { [O in Success<CommandOf<K>>]: { outcome: O } & AnswerOf<K> }[Success<CommandOf<K>>]
      | { [O in Refusal<CommandOf<K>>]: { outcome: O } & Problem & Partial<AnswerOf<K>> }[Refusal<
          CommandOf<K>
        >]
  : AnswerOf<K>;

/** Where an operation is. */
export type RouteOf<K extends OperationName> = Contract[K]["route"];
