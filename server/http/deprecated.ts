/** What the answers of an operation say that is going to end, problems too. */
import type { MiddlewareHandler } from "hono";
import type { Deprecated } from "../api/contract.ts";

/** Deprecation (RFC 9745) is a date of structured fields, Sunset (RFC 8594) one of HTTP. */
export function tellDeprecated({ since, sunset }: Deprecated): MiddlewareHandler {
  const headers = {
    deprecation: `@${Math.floor(Date.parse(since) / 1000)}`,
    ...(sunset && { sunset: new Date(sunset).toUTCString() }),
  };
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  };
}
