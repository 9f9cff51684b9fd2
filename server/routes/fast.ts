/**
 * The short way of the request that a burst consists of: POST /coupons/7/issue by a user, with the body {} or none. It is answered on
 * Node's own request and response, because the router, the adapter and the general validation cost more than all the rest. Any request
 * that differs takes the routes, where the same issuing and issueAnswer() serve the same path.
 */
import type { RequestListener, ServerResponse } from "node:http";
import type { Caller } from "../api/caller.ts";
import { issueAnswer, type Sent } from "../http/answer.ts";
import type { Exchange } from "../http/exchange.ts";
import { bearerOf, headerOf } from "../http/headers.ts";
import type { Incoming } from "../http/incoming.ts";
import { Problem } from "../http/problem.ts";
import { createSendWhole } from "../http/whole.ts";
import type { Dependencies } from "./app.ts";
import { NOT_VALID } from "./caller.ts";

/** What clients say; the routes look at any other. */
const PLAIN_JSON = /^application\/json(; ?charset=utf-8)?$/i;
const TARGET = /^\/coupons\/([1-9][0-9]{0,14})\/issue$/;

export function issueBefore(
  routes: RequestListener,
  {
    authenticate,
    clock,
    exchanges,
    issuing,
  }: Pick<Dependencies, "authenticate" | "clock" | "exchanges" | "issuing">,
): RequestListener<typeof Incoming> {
  const sendWhole = createSendWhole();
  const count = exchanges.counterOf("POST", "/coupons/{coupon_id}/issue");
  return (incoming, outgoing) => {
    const began = clock.now();
    const couponId = incoming.method === "POST" ? Number(TARGET.exec(incoming.url ?? "")?.[1] ?? 0) : 0;
    const token =
      couponId > 0 && isPlain(incoming.rawHeaders)
        ? bearerOf(headerOf(incoming.rawHeaders, "authorization"))
        : undefined;
    if (token === undefined) return routes(incoming, outgoing);
    const found = authenticate(token);
    const who = found instanceof Promise ? found.catch(() => undefined) : found;
    incoming.whole(
      (body) => {
        const isPlain = body.length === 0 || body.toString("latin1") === "{}";
        return who instanceof Promise
          ? who.then((who) => isPlain && answer(incoming, outgoing, couponId, who, began))
          : isPlain && answer(incoming, outgoing, couponId, who, began);
      },
      () => routes(incoming, outgoing),
    );
  };

  /** Whether it answers: a user, and whoever has no valid token. Where a key could not be fetched, the routes try it again and say so. */
  function answer(
    { url, rawHeaders, socket }: Incoming,
    outgoing: ServerResponse,
    couponId: number,
    who: Caller | null | undefined,
    began: number,
  ): boolean {
    if (who === undefined || (who !== null && who.role !== "user")) return false;
    const exchange = exchanges.begin(began, "POST", url as string, rawHeaders, count);
    const problem =
      who === null
        ? NOT_VALID
        : socket.destroyed
          ? new Problem("hung_up")
          : exchanges.limit(exchange, who.user_id);
    if (who === null || problem) send(outgoing, exchange, exchanges.failed(exchange, problem));
    else issue(outgoing, exchange, couponId, who.user_id);
    return true;
  }

  function issue(outgoing: ServerResponse, exchange: Exchange, couponId: number, userId: number): void {
    const issued = issuing.issue(couponId, userId, (listener) => outgoing.once("close", listener));
    if (issued instanceof Promise)
      issued.then(
        (issue) => send(outgoing, exchange, issueAnswer(couponId, issue, exchange.requestId)),
        (error) => send(outgoing, exchange, exchanges.failed(exchange, error)),
      );
    else send(outgoing, exchange, issueAnswer(couponId, issued, exchange.requestId));
  }

  function send(outgoing: ServerResponse, exchange: Exchange, sent: Sent): void {
    exchanges.end(exchange, sent.status, sent.headers);
    sendWhole(outgoing, sent);
  }
}

/** Whether it says that it has no body, or one that may be {}. */
function isPlain(rawHeaders: readonly string[]): boolean {
  const length = headerOf(rawHeaders, "content-length");
  if (length === "2")
    return (
      PLAIN_JSON.test(headerOf(rawHeaders, "content-type") ?? "") &&
      headerOf(rawHeaders, "content-encoding") === undefined
    );
  return length === undefined ? headerOf(rawHeaders, "transfer-encoding") === undefined : length === "0";
}
