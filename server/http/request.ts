/** What a request brings, checked: whatever is wrong is told member by member. */
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { z } from "zod";
import { MAX_BODY } from "../api/contract.ts";
import type { Exchange } from "./exchange.ts";
import { headerOf, JSON_TYPE } from "./headers.ts";
import { invalidRequest, Problem } from "./problem.ts";

/** What comes with a request: its exchange, and Node's request and response, which a test that calls the app itself hasn't got. */
export type Bindings = { exchange: Exchange } & Partial<HttpBindings | Http2Bindings>;
export type Ctx = Context<{ Bindings: Bindings }>;

/** A header by its name in lower case. */
export function header(c: Ctx, name: string): string | undefined {
  return headerOf(c.env.exchange.headers, name);
}

/**
 * Nothing is done for whoever left while its token was checked or the database asked. By the socket: "close" is told once, and of an
 * answer that queues behind another one of its connection nothing else tells.
 */
export function unlessLeft({ env: { incoming } }: Ctx): void {
  if (incoming?.socket.destroyed) throw new Problem("hung_up");
}

/** Each member once. */
export function queryOf(c: Ctx, schema: z.ZodType): unknown {
  const given = Object.entries(c.req.queries()).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] : values,
  ]);
  return parsed(schema, Object.fromEntries(given));
}

/** The JSON body; none at all is an empty object. */
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

/** Where a schema has no words of its own, zod's would be told: of what is no object, or a list for the query gave it twice. */
function inOurWords({ code, expected }: { code?: string; expected?: string }): string | undefined {
  if (code !== "invalid_type") return undefined;
  return expected === "object" ? "must be an object" : "must be given once";
}

export function parsed(schema: z.ZodType, given: unknown): unknown {
  const result = schema.safeParse(given, { error: inOurWords });
  if (!result.success) throw invalidRequest(result.error);
  return result.data;
}
