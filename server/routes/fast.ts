/**
 * The short way of the request that a burst consists of: POST /coupons/7/issue by a user, with the body {} or none. It is answered on
 * Node's own request and response, because the router, the adapter and the general validation cost more than all the rest. Any request
 * that differs takes the routes, where the same issuing and issueAnswer() serve the same path.
 */
import type { RequestListener, ServerResponse } from "node:http";
import { issueAnswer, type Sent } from "../http/answer.ts";
import type { Exchange } from "../http/exchange.ts";
import { bearerOf, headerOf } from "../http/headers.ts";
import type { Incoming } from "../http/incoming.ts";
import { createSendWhole } from "../http/whole.ts";
import type { Dependencies } from "./app.ts";

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
    const userId = couponId > 0 && mayBePlain(incoming.rawHeaders) ? userOf(incoming.rawHeaders) : undefined;
    if (userId === undefined) return routes(incoming, outgoing);
    incoming.whole(
      (body) => {
        const isPlain = body.length === 0 || body.toString("latin1") === "{}";
        if (isPlain) issue(incoming, outgoing, couponId, userId, began);
        return isPlain;
      },
      () => routes(incoming, outgoing),
    );
  };

  /** The user, if the token is a user's and can be checked at once. Where its key must be fetched first, the routes wait for it. */
  function userOf(rawHeaders: readonly string[]): number | undefined {
    const token = tokenOf(rawHeaders);
    const who = token === undefined ? null : authenticate(token);
    if (who instanceof Promise) who.catch(() => {});
    return who !== null && "user_id" in who ? who.user_id : undefined;
  }

  function issue(
    { url, rawHeaders }: Incoming,
    outgoing: ServerResponse,
    couponId: number,
    userId: number,
    began: number,
  ): void {
    const exchange = exchanges.begin(began, "POST", url as string, rawHeaders, count);
    const problem = exchanges.limit(exchange, userId);
    if (problem) {
      send(outgoing, exchange, exchanges.failed(exchange, problem));
      return;
    }
    const issued = issuing.issue(couponId, userId, (listener) => outgoing.once("close", listener));
    if (issued instanceof Promise)
      issued.then(
        (issue) => {
          exchanges.granted(exchange, couponId, issue);
          if (issue.outcome === "user_not_found") authenticate.forget?.(tokenOf(rawHeaders) as string);
          send(outgoing, exchange, issueAnswer(couponId, issue, exchange.requestId));
        },
        (error) => send(outgoing, exchange, exchanges.failed(exchange, error)),
      );
    else send(outgoing, exchange, issueAnswer(couponId, issued, exchange.requestId));
  }

  function send(outgoing: ServerResponse, exchange: Exchange, sent: Sent): void {
    exchanges.end(exchange, sent.status, sent.headers);
    sendWhole(outgoing, sent);
  }
}

function tokenOf(rawHeaders: readonly string[]): string | undefined {
  return bearerOf(headerOf(rawHeaders, "authorization"));
}

/** Whether it says that it has no body, or one that may be {}. */
function mayBePlain(rawHeaders: readonly string[]): boolean {
  const length = headerOf(rawHeaders, "content-length");
  if (length === "2")
    return (
      PLAIN_JSON.test(headerOf(rawHeaders, "content-type") ?? "") &&
      headerOf(rawHeaders, "content-encoding") === undefined
    );
  return length === "0" || (length === undefined && headerOf(rawHeaders, "transfer-encoding") === undefined);
}
