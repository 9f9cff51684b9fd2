/** Request headers from Node's own list of names and values: to ask Node or Hono for one makes an object of all of them first. */
import { randomUUID } from "node:crypto";

/** The header of this name, given in lower case; the first, should there be several. */
export function headerOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const given = rawHeaders[i] as string;
    if (given.length === name.length && given.toLowerCase() === name) return rawHeaders[i + 1];
  }
  return undefined;
}

/** The caller's own x-request-id where it is one that can be repeated, else a new one. */
export function requestIdOf(given: string | null | undefined): string {
  return given && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** The token of an Authorization header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return authorization?.match(/^Bearer ([\w.-]{1,4096})$/i)?.[1];
}

export const JSON_TYPE = /^application\/json *(;|$)/i;
