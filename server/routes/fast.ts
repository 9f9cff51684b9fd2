/**
 * The request that a burst is made of, served on Node's own request and response: POST /coupons/7/issue by a user, with the body
 * {} or none. The router, the adapter and the general validation would cost more than all the rest of it. Whatever differs in
 * anything goes on to the routes, where the same issuing() and issueAnswer() are behind the same path.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { issueAnswer, problem, type Sent } from "../http/answer.ts";
import { bearerOf, headerOf, JSON_TYPE, requestIdOf, type Trace, traceOf } from "../http/headers.ts";
import { asProblem, Problem } from "../http/problem.ts";
import { rateLimitHeaders } from "../http/rate-limit.ts";
import type { Dependencies } from "./app.ts";

const TARGET = /^\/coupons\/([1-9][0-9]{0,14})\/issue$/;

type IssueDependencies = Pick<Dependencies, "authenticate" | "cors" | "log" | "rateLimit" | "isDraining"> & {
  issuing: Pick<Dependencies["issuing"], "issue">;
  metrics: Pick<Dependencies["metrics"], "requests">;
};

export function issueBefore(
  routes: RequestListener,
  { issuing, authenticate, cors, log, metrics, rateLimit, isDraining }: IssueDependencies,
): RequestListener {
  const tell = metrics.requests.of("POST", "/coupons/{coupon_id}/issue");
  return (incoming, outgoing) => {
    const began = performance.now();
    const couponId = incoming.method === "POST" ? Number(TARGET.exec(incoming.url ?? "")?.[1] ?? 0) : 0;
    const length = couponId === 0 ? undefined : plainLength(incoming.rawHeaders);
    if (length === undefined) return routes(incoming, outgoing);
    const userId = userOf(incoming.rawHeaders);
    if (userId === undefined) return routes(incoming, outgoing);
    if (length === 0) return issue(incoming, outgoing, couponId, userId, began);

    const parts: Buffer[] = [];
    incoming.on("data", (part) => parts.push(part));
    incoming.once("end", () => {
      const body = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      if (body.toString() === "{}") issue(incoming, outgoing, couponId, userId, began);
      // Where the adapter looks for a body that was read before it came.
      else routes(Object.assign(incoming, { rawBody: body }), outgoing);
    });
  };

  /** Whose request it is, if a user's and known at once: by public key a new token takes a while, and the routes wait for it. */
  function userOf(rawHeaders: readonly string[]): number | undefined {
    const token = bearerOf(headerOf(rawHeaders, "authorization"));
    const who = token === undefined ? null : authenticate(token);
    if (who instanceof Promise) who.catch(() => {});
    return who !== null && "user_id" in who ? who.user_id : undefined;
  }

  function issue(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    couponId: number,
    userId: number,
    began: number,
  ): void {
    const requestId = requestIdOf(headerOf(incoming.rawHeaders, "x-request-id"));
    const trace = traceOf(headerOf(incoming.rawHeaders, "traceparent"));
    const rate = rateLimit.take(userId);
    const answer = (sent: Sent) => {
      Object.assign(sent.headers, rateLimitHeaders(rate));
      send(incoming, outgoing, sent, requestId, trace, began);
    };
    const fail = (error: unknown) => {
      const { cause, status, members } = asProblem(error);
      if (cause !== undefined && status >= 500) log.failure(cause, requestId);
      answer(problem(status, members, requestId));
    };
    if (!rate.allowed) {
      fail(new Problem("rate_limited", { retryAfter: rate.resetIn }));
      return;
    }
    const answered = issuing.issue(couponId, userId, (listener) => outgoing.once("close", listener));
    if (answered instanceof Promise)
      answered.then((result) => answer(issueAnswer(couponId, result, requestId)), fail);
    else answer(issueAnswer(couponId, answered, requestId));
  }

  function send(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    { status, headers, text }: Sent,
    requestId: string,
    trace: Trace | undefined,
    began: number,
  ): void {
    headers["content-length"] = String(Buffer.byteLength(text));
    if (trace) headers["traceparent"] = trace.traceparent;
    if (isDraining()) headers["connection"] = "close";
    Object.assign(headers, cors.headers(headerOf(incoming.rawHeaders, "origin")));
    outgoing.writeHead(status, headers).end(text);
    const ms = performance.now() - began;
    tell(status, ms);
    log.request("POST", incoming.url as string, status, ms, requestId, trace?.traceId);
  }
}

/** 0 without a body, 2 for one that may be {}; undefined for any other. */
function plainLength(rawHeaders: readonly string[]): 0 | 2 | undefined {
  const length = headerOf(rawHeaders, "content-length");
  if (length === "2") return JSON_TYPE.test(headerOf(rawHeaders, "content-type") ?? "") ? 2 : undefined;
  if (length === undefined && headerOf(rawHeaders, "transfer-encoding") !== undefined) return undefined;
  return length === undefined || length === "0" ? 0 : undefined;
}
