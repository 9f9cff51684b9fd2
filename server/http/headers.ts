/** Request headers from Node's own list of names and values: to ask Node or Hono for one makes an object of all of them first. */
import { randomUUID } from "node:crypto";

/** Node's list; of a request that no socket brought, a test's say, the headers that it has. */
export type GivenHeaders = readonly string[] | Headers;

/** The header of this name, given in lower case; the first, should there be several. */
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

/** The caller's own x-request-id where it is one that can be repeated, else a new one. */
export function requestIdOf(given: string | null | undefined): string {
  return given && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

export interface Trace {
  /** Of the trace that the caller is in. */
  traceId: string;
  /** What it is answered: its trace, by a span of ours. */
  traceparent: string;
}

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/** A traceparent header of version 00 (W3C Trace Context); of its flags only "sampled" is known, and repeated. */
export function traceOf(given: string | null | undefined): Trace | undefined {
  const [, traceId, flags] = given?.match(TRACEPARENT) ?? [];
  if (traceId === undefined) return undefined;
  const sampled = Number.parseInt(flags as string, 16) & 1;
  // Of a UUID the first and the last digits are random; Node keeps some ready, where randomBytes() costs 5 µs.
  const random = randomUUID();
  return { traceId, traceparent: `00-${traceId}-${random.slice(0, 4)}${random.slice(24)}-0${sampled}` };
}

/** The token of an Authorization header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return authorization?.match(/^Bearer ([\w.-]{1,4096})$/i)?.[1];
}

export const LINES_TYPE = /^application\/x-ndjson *(;|$)/i;
export const JSON_TYPE = /^application\/json *(;|$)/i;
