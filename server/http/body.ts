/** Reads the body of a request. A body is UTF-8 (RFC 8259, 8.1): bytes that are not would become other texts, and two texts one. */
import type { z } from "zod";
import { MAX_BODY } from "../api/contract.ts";
import { parseExact, repeatsMember } from "../api/exact.ts";
import { JSON_TYPE } from "./headers.ts";
import { Problem } from "./problem.ts";
import { type Ctx, header, parsed } from "./request.ts";

/** Throws unless a byte order mark at the head is all that is not text; drops that mark (RFC 8259 allows it). */
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The JSON body. An empty body counts as {}. */
export async function bodyOf(c: Ctx, schema: z.ZodType, maxBytes = MAX_BODY): Promise<unknown> {
  const length = header(c, "content-length");
  const isChunked = length === undefined && header(c, "transfer-encoding") !== undefined;
  if (!isChunked && (length === undefined || length === "0")) return parsed(schema, {});
  if (Number(length) > maxBytes) throw tooLarge(maxBytes);
  let bytes: Uint8Array;
  try {
    bytes = isChunked ? await chunksOf(c, maxBytes) : new Uint8Array(await c.req.arrayBuffer());
  } catch (error) {
    if (c.env.incoming?.complete === false && !(error instanceof Problem)) throw new Problem("hung_up");
    throw error;
  }
  if (bytes.length === 0) return parsed(schema, {});
  refuseOtherMedia(c, JSON_TYPE, "application/json");
  return parsed(schema, jsonOf(bytes));
}

/** Throws 415 unless the body is announced as this type, in UTF-8 and not compressed. */
export function refuseOtherMedia(c: Ctx, type: RegExp, name: string): void {
  const given = header(c, "content-type") ?? "";
  const [, charset = "utf-8"] = given.match(/; *charset *= *"?([^"; ]*)/i) ?? [];
  const encoding = header(c, "content-encoding") ?? "identity";
  const transfer = header(c, "transfer-encoding") ?? "chunked";
  const why = !type.test(given)
    ? `The body must be ${name}.`
    : !/^utf-?8$/i.test(charset)
      ? "The charset of the body must be utf-8."
      : !/^(identity)?$/i.test(encoding) || !/^chunked$/i.test(transfer)
        ? "The body must not be compressed or encoded otherwise."
        : undefined;
  if (why !== undefined) throw new Problem("invalid_request", { status: 415, detail: why });
}

function jsonOf(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Problem("invalid_request", { detail: "The body is not UTF-8." });
  }
  let value: unknown;
  try {
    value = parseExact(text);
  } catch {
    throw new Problem("invalid_request", { detail: "The body is not valid JSON." });
  }
  if (repeatsMember(text, value))
    throw new Problem("invalid_request", { detail: "An object in the body has a member twice." });
  return value;
}

/** A body without an announced length: read up to the limit. The adapter (@hono/node-server) then discards the rest. */
async function chunksOf(c: Ctx, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const { incoming } = c.env;
  const input = incoming ? incoming.iterator({ destroyOnReturn: false }) : (c.req.raw.body ?? []);
  for await (const part of input as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > maxBytes) throw tooLarge(maxBytes);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function tooLarge(maxBytes: number): Problem {
  return new Problem("invalid_request", {
    status: 413,
    detail: `The body must have at most ${maxBytes} bytes.`,
  });
}
