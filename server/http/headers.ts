/** Reads request headers from Node's raw list: asking Node or Hono for one header first creates an object of all of them. */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";

/** Node's raw list; for a request without a socket (in a test), the headers of the Request. */
export type GivenHeaders = readonly string[] | Headers;

/** The header of this name (in lower case); the first one if there are several. */
export function headerOf(headers: GivenHeaders, name: string): string | undefined {
  if (!isList(headers)) return headers.get(name) ?? undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const given = headers[i] as string;
    if (given.length === name.length && given.toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}

function isList(headers: GivenHeaders): headers is readonly string[] {
  return Array.isArray(headers);
}

/** The x-request-id of the request if it is safe to repeat, else a new one. */
export function requestIdOf(given: string | null | undefined): string {
  return given && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** What a caller says of the trace that its request is part of. */
export interface TraceParent {
  traceId: string;
  /** The caller's own span. */
  parentId: string;
  isSampled: boolean;
}

/** Version 00 ends with its flags, ff is none, and whatever else a higher one has comes behind another dash. */
const TRACEPARENT =
  /^(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;

/** Parses a traceparent header (W3C Trace Context), a higher version's as one of version 00. Of its flags only "sampled" is known. */
export function traceOf(given: string | null | undefined): TraceParent | undefined {
  const [, traceId, parentId, flags] = given?.match(TRACEPARENT) ?? [];
  if (traceId === undefined || parentId === undefined) return undefined;
  return { traceId, parentId, isSampled: (Number.parseInt(flags as string, 16) & 1) === 1 };
}

/** The token of an Authorization header (RFC 6750, 2.1), as long as a head may be: providers write groups and roles into it. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return authorization?.match(/^Bearer +([\w.~+/-]+=*)$/i)?.[1];
}

/** Whether an Authorization header brings this secret as bearer token. Compares in constant time. */
export function isBearerOf(authorization: string | undefined, secret: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const [, given = ""] = authorization?.match(/^Bearer +(.*)$/i) ?? [];
  return timingSafeEqual(digest(given), digest(secret));
}

export const LINES_TYPE = /^application\/x-ndjson *(;|$)/i;
export const JSON_TYPE = /^application\/json *(;|$)/i;
