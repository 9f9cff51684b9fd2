/**
 * Which pages of other origins may call us (WHATWG Fetch, 3.2): those that the environment names. This is our own code, because hono/cors
 * needs a router, and the burst's short way, which has none, must send the same headers.
 */

export interface Cors {
  /** The headers of an answer to this origin; none if it is not allowed. */
  headers(origin: string | undefined): Record<string, string>;
  /** The headers of the answer to a preflight request. */
  preflight(origin: string | undefined): Record<string, string>;
}

const METHODS = "GET, POST";
/**
 * Any: what watches a page adds its own (tracestate, baggage, sentry-trace, x-datadog-trace-id), and a browser sends no request with one that is
 * refused. `*` is not authorization. The others are for browsers that do not know it.
 */
const REQUEST_HEADERS =
  "*, authorization, content-type, if-none-match, last-event-id, traceparent, x-changed-ms, x-request-id";
/** All that the document tells but what any page may read (cache-control), and what is for proxies; and what caches add. */
const ANSWER_HEADERS =
  "age, deprecation, etag, ratelimit, retry-after, sunset, traceparent, www-authenticate, x-age-ms, x-request-id";
/** How long a browser may cache the answer to a preflight, s. No browser does so for more than two hours. */
const MAX_AGE = "7200";

export function createCors(origins: readonly string[]): Cors {
  const allowed = new Set(origins);
  const none = {};
  /** The answer depends on the origin, so caches must know. */
  const varies = { vary: "origin" };

  function headers(origin: string | undefined): Record<string, string> {
    if (allowed.size === 0) return none;
    if (origin === undefined || !allowed.has(origin)) return varies;
    return {
      ...varies,
      "access-control-allow-origin": origin,
      "access-control-expose-headers": ANSWER_HEADERS,
    };
  }

  return {
    headers,
    preflight(origin) {
      const given = headers(origin);
      if (!("access-control-allow-origin" in given)) return given;
      return {
        ...given,
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": REQUEST_HEADERS,
        "access-control-max-age": MAX_AGE,
      };
    },
  };
}
