/**
 * What is on offer, before the router: who only looks, without a token, gets the bytes of this second. Whoever is first in a second, sends
 * a token or asks in another way takes the routes, which read them.
 */
import type { RequestListener } from "node:http";
import type { Caller } from "../api/caller.ts";
import { Overloaded } from "../api/failures.ts";
import type { Clock } from "../clock.ts";
import { isNamed } from "../http/etag.ts";
import type { Count, Exchanges } from "../http/exchange.ts";
import { headerOf } from "../http/headers.ts";
import type { Looks } from "../http/looks.ts";
import { type Ctx, header } from "../http/request.ts";
import { createSendWhole } from "../http/whole.ts";

export function lookBefore(
  routes: RequestListener,
  { clock, exchanges, looks }: { clock: Clock; exchanges: Exchanges; looks: Looks },
): RequestListener {
  if (!looks.isPublic) return routes;
  const counters = new Map<string, Count>();
  const sendWhole = createSendWhole();
  return (incoming, outgoing) => {
    const { method, url = "", rawHeaders } = incoming;
    const look = method === "GET" ? looks.fresh(url) : undefined;
    if (look === undefined || headerOf(rawHeaders, "authorization") !== undefined)
      return routes(incoming, outgoing);
    const query = url.indexOf("?");
    const path = query < 0 ? url : url.slice(0, query);
    const exchange = exchanges.begin(clock.now(), "GET", path, rawHeaders, counterOf(look.route));
    const headers = looks.headersOf(look);
    headers["x-request-id"] = exchange.requestId;
    const known = headerOf(rawHeaders, "if-none-match");
    const isKnown = known !== undefined && isNamed(look.etag, known);
    exchanges.end(exchange, isKnown ? 304 : 200, headers);
    if (isKnown) return outgoing.writeHead(304, headers).end();
    headers["content-type"] = "application/json";
    sendWhole(outgoing, { status: 200, headers, text: look.body });
  };

  function counterOf(route: string): Count {
    const known = counters.get(route) ?? exchanges.counterOf("GET", route);
    counters.set(route, known);
    return known;
  }
}

/** The same by the routes: what is asked for, and how it is read if it must be. */
export async function answerLook(
  c: Ctx,
  who: Caller | null,
  looks: Looks,
  { route, target, read }: { route: string; target: string; read: () => Promise<string> },
): Promise<Response> {
  const known = looks.find(target, route, read, target === route);
  // Whoever has a token has a rate limit instead.
  if (known === undefined && who === null) throw new Overloaded();
  const look = await (known ?? read().then((json) => looks.lookOf(route, json)));
  const headers = { ...looks.headersOf(look), "x-request-id": c.env.exchange.requestId };
  if (isNamed(look.etag, header(c, "if-none-match"))) return new Response(null, { status: 304, headers });
  return new Response(look.body, { headers: { "content-type": "application/json", ...headers } });
}
