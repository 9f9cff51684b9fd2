/**
 * Refusals that a lease allows to repeat, answered before the router, adapter and validation: in a burst they are nearly all there
 * is. This is the plain case only (POST /coupons/7/issue by a user, with the body {} or none, of a coupon that is leased);
 * whatever differs in anything, and whoever isn't refused, goes on to the routes, which answer the same bytes.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Dependencies } from "./app.ts";
import { bearerOf, headerOf, JSON_TYPE, requestIdOf } from "./headers.ts";
import { problem, refusalOf } from "./problem.ts";

const TARGET = /^\/coupons\/([1-9][0-9]{0,14})\/issue$/;

export function repeatBefore(
  routes: RequestListener,
  { issuing, authenticate, log, isDraining }: Dependencies,
): RequestListener {
  /** Whose request it is, when it is the plain case. */
  function userOf({ rawHeaders }: IncomingMessage): number | undefined {
    const token = bearerOf(headerOf(rawHeaders, "authorization"));
    const who = token === undefined ? null : authenticate(token);
    // By public key a new token takes a while: the routes ask again, and are told what comes of it.
    if (who instanceof Promise) who.catch(() => {});
    return who !== null && "user_id" in who ? who.user_id : undefined;
  }

  function refuse(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    couponId: number,
    began: number,
  ): boolean {
    const userId = userOf(incoming);
    const issue = userId === undefined ? undefined : issuing.leases.refusal(couponId, userId);
    if (issue === undefined) return false;
    const requestId = requestIdOf(headerOf(incoming.rawHeaders, "x-request-id"));
    const { outcome, starts_in, ...rest } = issue;
    const refusal = refusalOf("issue_coupon", { outcome, coupon_id: couponId, ...rest }, starts_in);
    const { status, headers, text } = problem(refusal.status, refusal.members, requestId);
    headers["content-length"] = String(Buffer.byteLength(text));
    outgoing.writeHead(status, headers).end(text);
    const url = `http://localhost${incoming.url}`;
    log.request({ method: "POST", url }, status, performance.now() - began, requestId);
    return true;
  }

  return (incoming, outgoing) => {
    const began = performance.now();
    const couponId = incoming.method === "POST" ? Number(TARGET.exec(incoming.url ?? "")?.[1] ?? 0) : 0;
    if (couponId === 0 || isDraining() || !issuing.leases.holds(couponId)) return routes(incoming, outgoing);
    const { rawHeaders } = incoming;
    const length = headerOf(rawHeaders, "content-length");
    if (length === undefined || length === "0") {
      if (headerOf(rawHeaders, "transfer-encoding") !== undefined) return routes(incoming, outgoing);
      if (!refuse(incoming, outgoing, couponId, began)) routes(incoming, outgoing);
      return;
    }
    if (length !== "2" || !JSON_TYPE.test(headerOf(rawHeaders, "content-type") ?? ""))
      return routes(incoming, outgoing);
    const parts: Buffer[] = [];
    incoming.on("data", (part) => parts.push(part));
    incoming.once("end", () => {
      const body = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      if (body.toString() === "{}" && refuse(incoming, outgoing, couponId, began)) return;
      // Where the adapter looks for a body that was read before it came.
      routes(Object.assign(incoming, { rawBody: body }), outgoing);
    });
  };
}
