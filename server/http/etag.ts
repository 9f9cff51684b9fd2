/**
 * Entity tags (RFC 9110, 8.8.3). The same content has the same tag in every process. This is our own code, because hono/etag (hono
 * 4.13.19) hashes every answer again (even a page of 1.4 MB), drops headers of a 304, and ignores "If-None-Match: *".
 */
import { createHash } from "node:crypto";

/** A strong tag of 132 bits. */
export function etagOf(content: string | Uint8Array): string {
  return `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
}

/** If-None-Match (RFC 9110, 13.1.2): a list of tags, compared weakly, or any. No tag has the quotes of another one in it. */
export function isNamed(etag: string, ifNoneMatch = ""): boolean {
  return ifNoneMatch.trim() === "*" || ifNoneMatch.includes(etag);
}
