/** Who signs tokens, by each algorithm that the service takes: as an identity provider does, so that no two tokens are the same. */
import { generateKeyPairSync, type KeyObject, type SigningOptions, sign } from "node:crypto";
import { hmacKey } from "../../server/auth/hs256.ts";
import { readEnv } from "../../server/env.ts";

export const ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"] as const;

interface Signer {
  /** What the server needs to check them. */
  settings: Record<string, string>;
  /** A new token of this user, good for a day. */
  token(userId: number): string;
}

/** With a key of its own; `secret` is that of HS256. */
export function createSigner(algorithm: (typeof ALGORITHMS)[number], secret: string): Signer {
  const { JWT_ISSUER: iss, JWT_AUDIENCE: aud } = readEnv({});
  const iat = Math.floor(Date.now() / 1000);
  let jti = 0;
  const claims = (userId: number) => {
    jti += 1;
    return { role: "user", sub: String(userId), iss, aud, iat, exp: iat + 86_400, jti };
  };
  if (algorithm === "HS256") {
    const key = hmacKey(secret);
    return { settings: { JWT_SECRET: secret }, token: (userId) => key.sign(claims(userId)) };
  }
  const { publicKey, signature } = pairOf(algorithm);
  const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const header = base64url({ alg: algorithm, typ: "JWT", kid: "bench" });
  return {
    settings: { JWT_PUBLIC_KEY: publicKey.export({ type: "spki", format: "pem" }).toString() },
    token(userId) {
      const signed = `${header}.${base64url(claims(userId))}`;
      return `${signed}.${signature(Buffer.from(signed)).toString("base64url")}`;
    },
  };
}

function pairOf(algorithm: "RS256" | "ES256" | "EdDSA") {
  const by = (
    { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
    digest: string | null,
    options: SigningOptions = {},
  ) => ({ publicKey, signature: (text: Buffer) => sign(digest, text, { key: privateKey, ...options }) });
  switch (algorithm) {
    case "RS256":
      return by(generateKeyPairSync("rsa", { modulusLength: 2048 }), "sha256");
    case "ES256":
      return by(generateKeyPairSync("ec", { namedCurve: "P-256" }), "sha256", { dsaEncoding: "ieee-p1363" });
    case "EdDSA":
      return by(generateKeyPairSync("ed25519"), null);
  }
}
