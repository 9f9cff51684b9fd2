/** Reads and checks path and query of a request; the problem names each wrong member. */
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { z } from "zod";
import type { Exchange } from "./exchange.ts";
import { headerOf } from "./headers.ts";
import { invalidRequest, Problem, wrongMember } from "./problem.ts";

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
  const [, query = ""] = c.req.url.match(/\?([^#]*)/) ?? [];
  const given = new Map<string, string>();
  for (const pair of query.split("&")) {
    const [, rawName = "", rawValue = ""] = pair.match(/^([^=]*)=?(.*)$/) ?? [];
    const name = textOf(rawName) ?? rawName;
    if (name === "") continue;
    const value = textOf(rawValue);
    if (value === undefined) throw wrongMember(name, "must be percent-encoded UTF-8");
    if (given.has(name)) throw wrongMember(name, "must be given once");
    given.set(name, value);
  }
  return parsed(schema, Object.fromEntries(given));
}

/** What Hono's own reading keeps as it is where it is not UTF-8 (`%e4`), which would be another text. */
function textOf(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** Replaces zod's message where a schema has none of its own: for a value that is not an object. */
function inOurWords({ code, expected }: { code?: string; expected?: string }): string | undefined {
  return code === "invalid_type" && expected === "object" ? "must be an object" : undefined;
}

export function parsed(schema: z.ZodType, given: unknown): unknown {
  const result = schema.safeParse(given, { error: inOurWords, reportInput: true });
  if (!result.success) throw invalidRequest(result.error);
  return result.data;
}
