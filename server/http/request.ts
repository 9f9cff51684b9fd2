/** Reads and checks path, query and body of a request; the problem names each wrong member. */
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { z } from "zod";
import { MAX_BODY } from "../api/contract.ts";
import type { Exchange } from "./exchange.ts";
import { headerOf, JSON_TYPE } from "./headers.ts";
import { invalidRequest, Problem } from "./problem.ts";

/** What the routes get with a request: its exchange, and Node's request and response (a test that calls the app has neither). */
export type Bindings = { exchange: Exchange } & Partial<HttpBindings | Http2Bindings>;
export type Ctx = Context<{ Bindings: Bindings }>;

/** A header by its name in lower case. */
export function header(c: Ctx, name: string): string | undefined {
  return headerOf(c.env.exchange.headers, name);
}

/**
 * Throws if the client left while its token was checked or the database was asked: then nothing more is done for it. It looks at the
 * socket, because "close" is emitted only once, and an answer that queues behind another one of its connection emits nothing else.
 */
export function unlessLeft({ env: { incoming } }: Ctx): void {
  if (incoming?.socket.destroyed) throw new Problem("hung_up");
}

/** The query's members; each may occur only once. */
export function queryOf(c: Ctx, schema: z.ZodType): unknown {
  const given = Object.entries(c.req.queries()).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] : values,
  ]);
  return parsed(schema, Object.fromEntries(given));
}

/** The JSON body. An empty body counts as {}. */
export async function bodyOf(c: Ctx, schema: z.ZodType, maxBytes = MAX_BODY): Promise<unknown> {
  const length = header(c, "content-length");
  if (length === undefined && header(c, "transfer-encoding") !== undefined)
    throw new Problem("invalid_request", {
      status: 411,
      detail: "A body must come with its Content-Length.",
    });
  if (length === undefined || length === "0") return parsed(schema, {});
  if (Number(length) > maxBytes)
    throw new Problem("invalid_request", {
      status: 413,
      detail: `The body must have at most ${maxBytes} bytes.`,
    });
  if (!JSON_TYPE.test(header(c, "content-type") ?? ""))
    throw new Problem("invalid_request", { status: 415, detail: "The body must be application/json." });
  let given: unknown;
  try {
    given = await c.req.json();
  } catch {
    if (c.env.incoming?.complete === false) throw new Problem("hung_up");
    throw new Problem("invalid_request", { detail: "The body is not valid JSON." });
  }
  return parsed(schema, given);
}

/** Replaces zod's messages where a schema has none of its own: for a value that is not an object, or a query member given twice. */
function inOurWords({ code, expected }: { code?: string; expected?: string }): string | undefined {
  if (code !== "invalid_type") return undefined;
  return expected === "object" ? "must be an object" : "must be given once";
}

export function parsed(schema: z.ZodType, given: unknown): unknown {
  const result = schema.safeParse(given, { error: inOurWords });
  if (!result.success) throw invalidRequest(result.error);
  return result.data;
}
