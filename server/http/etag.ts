/**
 * Entity tags (RFC 9110, 8.8.3): of the same content the same, in every process. Ours, since hono/etag hashes each answer anew (a page
 * of 1.4 MB, too), keeps few headers of a 304, and does not know "If-None-Match: *" (hono 4.13.19).
 */
import { createHash } from "node:crypto";

/** A strong one, of 132 bits; behind W/ it is weak. */
export function etagOf(content: string | Uint8Array): string {
  return `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
}

/** If-None-Match (RFC 9110, 13.1.2): a list of tags, compared weakly, or any. */
export function isNamed(etag: string, ifNoneMatch: string | undefined): boolean {
  const tags = ifNoneMatch?.split(",").map((tag) => tag.trim()) ?? [];
  const opaque = (tag: string) => tag.replace(/^W\//, "");
  return tags.includes("*") || tags.some((tag) => opaque(tag) === opaque(etag));
}
