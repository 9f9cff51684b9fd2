/** What may become of any request besides the outcomes of its command. */

/** The status of each and, unless more is known, the detail. */
export const failures = {
  invalid_request: { status: 400, detail: "The request is not valid." },
  unauthenticated: { status: 401, detail: "A bearer token is needed." },
  forbidden: { status: 403, detail: "The caller may not do this." },
  coupon_not_found: { status: 404, detail: "There is no such coupon." },
  no_such_route: { status: 404, detail: "There is nothing at this path for this method." },
  not_acceptable: { status: 406, detail: "There are lines (application/x-ndjson) and CSV (text/csv)." },
  request_timeout: { status: 408, detail: "The request did not arrive in time; nothing was done." },
  /** Nobody reads this one: it is for the log. */
  hung_up: { status: 499, detail: "The client hung up; nothing was done." },
  rate_limited: {
    status: 429,
    detail: "Too many requests from this user; nothing was done. Send the request again later.",
  },
  internal_error: { status: 500, detail: "This is our mistake, and was logged." },
  overloaded: { status: 503, detail: "The server is overloaded; nothing was done. Send the request again." },
  database_unavailable: {
    status: 503,
    detail: "The database cannot be reached; nothing was done. Send the request again.",
  },
  writes_stalled: {
    status: 503,
    detail: "Writes wait for a standby of the database; nothing was done. Send the request again.",
  },
  outcome_unknown: {
    status: 503,
    detail: "The database did not answer; the request may have been done. Send the same request again.",
  },
  keys_unavailable: {
    status: 503,
    detail: "The keys of the tokens cannot be fetched; nothing was done. Send the request again.",
  },
  metrics_unavailable: {
    status: 503,
    detail: "The process that asks the workers does not answer. Send the request again.",
  },
  migrations_pending: { status: 503, detail: "The database is older than this server: run ./sd migrate." },
  server_too_old: {
    status: 503,
    detail: "The database needs a newer server: start the newer release.",
  },
  draining: { status: 503, detail: "This server is ending." },
} as const satisfies Record<string, { status: number; detail: string }>;

export type Failure = keyof typeof failures;

/** Too many requests at once: nothing was done for this one. */
export class Overloaded extends Error {
  override readonly name = "Overloaded";
}

/** Nobody waits for the answer any more, and nothing was done. */
export class HungUp extends Error {
  override readonly name = "HungUp";
}
