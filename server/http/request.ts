/** What a request brings, checked: whatever is wrong is told member by member. */
import type { z } from "zod";
import { MAX_BODY } from "../api/contract.ts";
import type { Ctx } from "../routes/app.ts";
import { headerOf, JSON_TYPE } from "./headers.ts";
import { invalidRequest, Problem } from "./problem.ts";

/** A header by its name in lower case. */
export function header(c: Ctx, name: string): string | undefined {
  const { rawHeaders } = c.env.incoming ?? {};
  return rawHeaders ? headerOf(rawHeaders, name) : c.req.header(name);
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
