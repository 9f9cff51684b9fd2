/**
 * JSON Web Tokens signed with HMAC SHA-256 (RFC 7519, RFC 7515). Node's createHmac() creates a stream object for each call; two one-shot
 * hashes (RFC 2104) do not. A digest as "binary" (latin1) costs 1 µs less than one in a new buffer.
 */
import { hash, timingSafeEqual } from "node:crypto";

const HEADER = Buffer.from(JSON.stringify({ alg: "HS256", typ: "JWT" })).toString("base64url");

/** The block size of SHA-256, in bytes. */
const BLOCK = 64;
const DIGEST = 32;
/** Characters of a digest in base64url. */
const SIGNATURE = 43;
/** More than the head of a request has. */
const MAX_SIGNED = 16_384;

interface HmacKey {
  sign(claims: Record<string, unknown>): string;
  /**
   * Whether this is the signature of this text, both in base64url. Compares in constant time, and as text, so that only one spelling of
   * a signature is valid.
   */
  check(signed: string, signature: string): boolean;
}

export function hmacKey(secret: string | Buffer): HmacKey {
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
    outer.write(hash("sha256", inner.subarray(0, BLOCK + length), "binary"), BLOCK, "latin1");
    return hash("sha256", outer, "base64url");
  }

  return {
    sign(claims) {
      const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
      if (signed.length > MAX_SIGNED) throw new Error(`a token has at most ${MAX_SIGNED} characters`);
      return `${signed}.${mac(signed)}`;
    },
    check(signed, signature) {
      if (signed.length > MAX_SIGNED || signature.length !== SIGNATURE) return false;
      wanted.write(mac(signed), "latin1");
      given.write(signature, "latin1");
      return timingSafeEqual(given, wanted);
    },
  };
}
