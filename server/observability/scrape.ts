/** Who may read /metrics, and the answer. */
import type { Sent } from "../http/answer.ts";
import { bearerOf, isBearerOf } from "../http/headers.ts";
import { Problem } from "../http/problem.ts";

/** Answers GET /metrics to a request that has the token, without asking the database. Without a token there is no such route. */
export function createScrape(token: string | undefined, contentType: string, read: () => Promise<string>) {
  return async (authorization: string | undefined, requestId: string): Promise<Sent> => {
    if (token === undefined) throw new Problem("no_such_route");
    if (!isBearerOf(authorization, token))
      throw new Problem("unauthenticated", {
        detail: "This takes the metrics token.",
        ...(bearerOf(authorization) === undefined ? {} : { tokenError: "invalid_token" }),
      });
    const text = await read().catch((cause: Error) => {
      throw new Problem("metrics_unavailable", { retryAfter: 1 }, cause);
    });
    const headers = { "content-type": contentType, "cache-control": "no-store", "x-request-id": requestId };
    return { status: 200, headers, text };
  };
}
