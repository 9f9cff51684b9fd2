/**
 * One request and its answer. It has what the routes, the short way of the plain request and refusals on the wire share: request id,
 * trace, the headers of every answer, the metrics and the log line.
 */
import type { TokenError } from "../api/caller.ts";
import type { Clock } from "../clock.ts";
import { problem, type Sent } from "./answer.ts";
import type { Cors } from "./cors.ts";
import { type GivenHeaders, headerOf, requestIdOf, type TraceParent, traceOf } from "./headers.ts";
import { asProblem, Problem } from "./problem.ts";
import { type RateLimit, rateLimitHeader, type Verdict } from "./rate-limit.ts";

export interface Exchange {
  readonly began: number;
  readonly method: string;
  readonly path: string;
  readonly headers: GivenHeaders;
  readonly requestId: string;
  /** The caller's trace. */
  readonly trace: TraceParent | undefined;
  /** Its span, if one is exported. */
  span: Span | undefined;
  /** Counts it by method and route. */
  count: Count;
  /** The rate limit of its user, once that is known. */
  rate: Verdict | undefined;
  /** What the log says beside: what its answer acknowledges, so that what a restored database lost can be told, or why its token is refused. */
  noted: Grant | { token_error: TokenError } | undefined;
}

/** A unit of a coupon that a user was told to hold, for the first time or again. */
export interface Grant {
  coupon_id: number;
  user_id: number;
  position: number | null;
  issued_at: string | null;
}

/** A request as a part of a trace, in hexadecimal digits. */
export interface Span {
  traceId: string;
  spanId: string;
  /** The caller's span. */
  parentId: string | undefined;
}

/** Exports spans. */
export interface Tracer {
  /** The span of a request that is exported. */
  begin(parent: TraceParent | undefined): Span | undefined;
  /** Whether the next span that ends is exported: not while too many wait. */
  hasRoom(): boolean;
  end(span: Span, exchange: Exchange, status: number, ms: number): void;
}

/** Counts an answer by its status and its duration in ms. */
export interface Count {
  (status: number, ms: number): void;
  /** The template of the route, if one matches. */
  readonly route?: string | undefined;
}

/** What an exchange reports to. */
interface Observers {
  clock: Pick<Clock, "now">;
  log: {
    request(
      method: string,
      path: string,
      status: number,
      ms: number,
      requestId: string,
      traceId?: string,
      noted?: Exchange["noted"],
    ): void;
    failure(error: unknown, requestId?: string): void;
  };
  metrics: {
    requests: { of(method: string, route?: string): Count };
    refusedTokens: Record<TokenError, number>;
  };
  cors: Pick<Cors, "headers">;
  rateLimit: RateLimit;
  isDraining: () => boolean;
  /** None: no span is exported. */
  tracer?: Tracer | undefined;
}

export type Exchanges = ReturnType<typeof createExchanges>;

/** Plain functions on a plain object: closures would be created for each request. */
export function createExchanges({ clock, log, metrics, cors, rateLimit, isDraining, tracer }: Observers) {
  const counterOf = metrics.requests.of;

  /** Sets its route, given as the template. */
  function matched(exchange: Exchange, route: string): void {
    exchange.count = counterOf(exchange.method, route);
  }

  /** `began` on the clock's now(). */
  function begin(
    began: number,
    method: string,
    path: string,
    headers: GivenHeaders,
    count: Count = counterOf(method),
  ): Exchange {
    const requestId = requestIdOf(headerOf(headers, "x-request-id"));
    const trace = traceOf(headerOf(headers, "traceparent"));
    const span = tracer === undefined ? undefined : tracer.begin(trace);
    return { began, method, path, headers, requestId, trace, span, count, rate: undefined, noted: undefined };
  }

  /** Notes a grant that its answer acknowledges. */
  function granted(
    exchange: Exchange,
    coupon_id: number,
    { user_id, position, issued_at }: Omit<Grant, "coupon_id">,
  ) {
    if (position !== null) exchange.noted = { coupon_id, user_id, position, issued_at };
  }

  /** Counts and notes why its token is refused. */
  function distrusted(exchange: Exchange, reason: TokenError) {
    metrics.refusedTokens[reason] += 1;
    exchange.noted = { token_error: reason };
  }

  /** Counts it against the rate limit of its user. Returns the problem if the limit is exceeded. */
  function limit(exchange: Exchange, userId: number): Problem | undefined {
    const rate = rateLimit.take(userId);
    exchange.rate = rate;
    return rate.allowed ? undefined : new Problem("rate_limited", { retryAfter: rate.resetIn });
  }

  /** Turns any error into the problem that the client gets. Logs it if it is a failure of ours. */
  function problemOf({ requestId }: Exchange, error: unknown): Problem {
    const found = asProblem(error);
    if (found.cause !== undefined && found.status >= 500) log.failure(found.cause, requestId);
    return found;
  }

  /** The answer to a request that failed. */
  function failed(exchange: Exchange, error: unknown): Sent {
    const { status, members } = problemOf(exchange, error);
    return problem(status, members, exchange.requestId);
  }

  /** Ends it with this status, just before the answer is sent: adds the headers of every answer, counts it and logs it. */
  function end(exchange: Exchange, status: number, answer: Record<string, string>): void {
    const { headers, span, rate } = exchange;
    const left = rate && rateLimitHeader(rate);
    if (left !== undefined) answer["ratelimit"] = left;
    if (span !== undefined && tracer?.hasRoom())
      answer["traceparent"] = `00-${span.traceId}-${span.spanId}-01`;
    if (isDraining()) answer["connection"] = "close";
    Object.assign(answer, cors.headers(headerOf(headers, "origin")));
    record(exchange, status);
  }

  function record(exchange: Exchange, status: number): void {
    const { began, method, path, requestId, trace, span, count, noted } = exchange;
    const ms = clock.now() - began;
    count(status, ms);
    log.request(method, path, status, ms, requestId, span?.traceId ?? trace?.traceId, noted);
    if (span !== undefined) tracer?.end(span, exchange, status, ms);
  }

  /** Answers something that is not a valid request; its connection is closed afterwards. */
  function refuse(why: unknown): Sent {
    const exchange = begin(clock.now(), "-", "-", []);
    exchange.span = undefined;
    const sent = failed(exchange, why);
    record(exchange, sent.status);
    sent.headers["connection"] = "close";
    sent.headers["content-length"] = String(Buffer.byteLength(sent.text));
    return sent;
  }

  return { begin, counterOf, matched, granted, distrusted, limit, problemOf, failed, end, refuse };
}
