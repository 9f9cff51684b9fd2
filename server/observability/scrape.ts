/** Who may read /metrics, and the answer. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Sent } from "../http/answer.ts";
import { headerOf } from "../http/headers.ts";
import { isLocal } from "../http/local.ts";
import { Problem } from "../http/problem.ts";

/**
 * Answers GET /metrics without asking the database. If a token is configured, the request must have it; otherwise only clients on
 * this machine get an answer.
 */
export function createScrape(token: string | undefined, contentType: string, read: () => Promise<string>) {
  return async (
    incoming: Pick<IncomingMessage, "rawHeaders" | "socket"> | undefined,
    requestId: string,
  ): Promise<Sent> => {
    if (token === undefined && !isLocal(incoming)) throw new Problem("no_such_route");
    if (token !== undefined && !isToken(headerOf(incoming?.rawHeaders ?? [], "authorization"), token))
      throw new Problem("unauthenticated", { detail: "This takes the METRICS_TOKEN." });
    const text = await read().catch((cause: Error) => {
      throw new Problem("metrics_unavailable", { retryAfter: 1 }, cause);
    });
    const headers = { "content-type": contentType, "cache-control": "no-store", "x-request-id": requestId };
    return { status: 200, headers, text };
  };
}

/** Compares in constant time. */
function isToken(authorization: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization?.replace(/^bearer /i, "") ?? ""), digest(token));
}
