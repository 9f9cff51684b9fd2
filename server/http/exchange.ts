/**
 * A request and its answer, from beginning to end: what is the same for the routes, for the plain request's short way and for what is
 * refused on the wire. Its id, its trace, the headers that every answer has, the count and the line in the log.
 */
import type { Clock } from "../clock.ts";
import { problem, type Sent } from "./answer.ts";
import type { Cors } from "./cors.ts";
import { type GivenHeaders, headerOf, requestIdOf, type Trace, traceOf } from "./headers.ts";
import { asProblem, Problem } from "./problem.ts";
import { type RateLimit, rateLimitHeader, type Verdict } from "./rate-limit.ts";

export interface Exchange {
  readonly began: number;
  readonly method: string;
  readonly path: string;
  readonly headers: GivenHeaders;
  readonly requestId: string;
  readonly trace: Trace | undefined;
  /** Counts it: as one of its method and route. */
  count: Count;
  /** What its user may still send, once that is known. */
  rate: Verdict | undefined;
}

/** Counts an answer of a method and route: its status, and how many ms it took. */
export type Count = (status: number, ms: number) => void;

/** Whom an exchange is told to. */
export interface Observers {
  clock: Pick<Clock, "now">;
  log: {
    request(
      method: string,
      path: string,
      status: number,
      ms: number,
      requestId: string,
      traceId?: string,
    ): void;
    failure(error: unknown, requestId?: string): void;
  };
  metrics: { requests: { of(method: string, route: string): Count } };
  cors: Pick<Cors, "headers">;
  rateLimit: RateLimit;
  isDraining: () => boolean;
}

export type Exchanges = ReturnType<typeof createExchanges>;

/** The route of a request until one is found. */
const UNMATCHED = "unmatched";

/** Plain functions on a plain object: methods that close over each request would be made anew for each. */
export function createExchanges({ clock, log, metrics, cors, rateLimit, isDraining }: Observers) {
  const counterOf = metrics.requests.of;

  /** It is one of this route, given as its template. */
  function matched(exchange: Exchange, route: string): void {
    exchange.count = counterOf(exchange.method, route);
  }

  /** `began` on the clock's now(). */
  function begin(
    began: number,
    method: string,
    path: string,
    headers: GivenHeaders,
    count: Count = counterOf(method, UNMATCHED),
  ): Exchange {
    const requestId = requestIdOf(headerOf(headers, "x-request-id"));
    const trace = traceOf(headerOf(headers, "traceparent"));
    return { began, method, path, headers, requestId, trace, count, rate: undefined };
  }

  /** Counts it for its user; the problem if it is one too many. */
  function limit(exchange: Exchange, userId: number): Problem | undefined {
    const rate = rateLimit.take(userId);
    exchange.rate = rate;
    return rate.allowed ? undefined : new Problem("rate_limited", { retryAfter: rate.resetIn });
  }

  /** Any error as the problem that the client is told; one of ours gets into the log. */
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

  /** Ends it with this status, just before it is sent: adds what every answer's headers have, counts it and logs it. */
  function end(exchange: Exchange, status: number, answer: Record<string, string>): void {
    const { headers, trace, rate } = exchange;
    const left = rate && rateLimitHeader(rate);
    if (left !== undefined) answer["ratelimit"] = left;
    if (trace) answer["traceparent"] = trace.traceparent;
    if (isDraining()) answer["connection"] = "close";
    Object.assign(answer, cors.headers(headerOf(headers, "origin")));
    record(exchange, status);
  }

  function record({ began, method, path, requestId, trace, count }: Exchange, status: number): void {
    const ms = clock.now() - began;
    count(status, ms);
    log.request(method, path, status, ms, requestId, trace?.traceId);
  }

  /** Answers what is no request: nothing of it was read, and its connection is closed after this. */
  function refuse(why: unknown): Sent {
    const exchange = begin(clock.now(), "-", "-", []);
    const sent = failed(exchange, why);
    record(exchange, sent.status);
    sent.headers["connection"] = "close";
    sent.headers["content-length"] = String(Buffer.byteLength(sent.text));
    return sent;
  }

  return { begin, counterOf, matched, limit, problemOf, failed, end, refuse };
}
