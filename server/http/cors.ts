/**
 * Which other origins' pages may call us (WHATWG Fetch, 3.2): those that the environment names, no others. Ours, since hono/cors is for
 * a router's answers, and the burst's short way, which has no router, must say the same.
 */

export interface Cors {
  /** What an answer to this origin says; nothing for one that is not allowed. */
  headers(origin: string | undefined): Record<string, string>;
  /** What a preflight request is answered. */
  preflight(origin: string | undefined): Record<string, string>;
}

const METHODS = "GET, POST";
const REQUEST_HEADERS = "authorization, content-type, if-none-match, traceparent, x-request-id";
const ANSWER_HEADERS = "etag, ratelimit, retry-after, traceparent, x-request-id";
/** How long a browser remembers a preflight's answer, s: beyond two hours none does. */
const MAX_AGE = "7200";

export function createCors(origins: readonly string[]): Cors {
  const allowed = new Set(origins);
  const none = {};
  /** Whatever is answered depends on who asks, so a cache must know. */
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
