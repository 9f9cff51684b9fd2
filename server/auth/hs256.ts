/**
 * JSON Web Tokens signed with HMAC SHA-256 (RFC 7519, RFC 7515), in compact form. Checked synchronously and with few allocations,
 * because every request of a burst has one. jose sends each HMAC to the thread pool: 144 µs of CPU per token instead of 8, more than
 * the rest of the request. Node's createHmac() creates a stream object for each call; two one-shot hashes (RFC 2104) do not.
 */
import { hash, timingSafeEqual } from "node:crypto";

const HEADER = Buffer.from(JSON.stringify({ alg: "HS256", typ: "JWT" })).toString("base64url");

/** The block size of SHA-256, in bytes. */
const BLOCK = 64;
const DIGEST = 32;
/** Characters of a digest in base64url. */
const SIGNATURE = 43;
const MAX_SIGNED = 8_192;
/** Three parts in base64url, which is ASCII, so one character is one byte; the signature has its fixed length. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]{43}$/;

export interface HmacKey {
  sign(claims: Record<string, unknown>): string;
  /**
   * The claims of a token that was signed with this key and algorithm; null for any other. Compares the signature in constant time,
   * and as text, so that only one spelling of it is valid.
   */
  verify(token: string): Record<string, unknown> | null;
}

export function hmacKey(secret: string): HmacKey {
  const bytes = Buffer.from(secret);
  const key = bytes.length > BLOCK ? Buffer.from(hash("sha256", bytes, "hex"), "hex") : bytes;
  const inner = Buffer.alloc(BLOCK + MAX_SIGNED, 0x36);
  const outer = Buffer.alloc(BLOCK + DIGEST, 0x5c);
  for (const [i, byte] of key.entries()) {
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  const wanted = Buffer.alloc(SIGNATURE);
  const given = Buffer.alloc(SIGNATURE);

  /** In base64url; of ASCII, at most MAX_SIGNED characters. */
  function mac(signed: string): string {
    const length = inner.write(signed, BLOCK, "latin1");
    outer.set(hash("sha256", inner.subarray(0, BLOCK + length), "buffer"), BLOCK);
    return hash("sha256", outer, "base64url");
  }

  return {
    sign(claims) {
      const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
      if (signed.length > MAX_SIGNED) throw new Error(`a token has at most ${MAX_SIGNED} characters`);
      return `${signed}.${mac(signed)}`;
    },
    verify(token) {
      if (!COMPACT.test(token)) return null;
      const header = token.indexOf(".");
      const claims = token.indexOf(".", header + 1);
      if (claims > MAX_SIGNED || !isOurHeader(token.slice(0, header))) return null;
      wanted.write(mac(token.slice(0, claims)), "latin1");
      given.write(token.slice(claims + 1), "latin1");
      return timingSafeEqual(given, wanted) ? parse(token.slice(header + 1, claims)) : null;
    },
  };
}

/** Whether the header is ours, or another one with the same algorithm and without critical extensions (`crit`). */
function isOurHeader(header: string): boolean {
  if (header === HEADER) return true;
  const { alg, crit } = parse(header) ?? {};
  return alg === "HS256" && crit === undefined;
}

function parse(part: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
