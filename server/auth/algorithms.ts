/** The algorithms that tokens may be signed with (RFC 7518, RFC 8037; Ed25519 is what RFC 9864 calls EdDSA with that key). Each fits one kind of key, so that a token cannot choose another. */
import { constants, type KeyObject, type SigningOptions, verify } from "node:crypto";
import { hmacKey } from "./hs256.ts";

/** Whether this is the key's signature of this text; both are in base64url. */
export type Check = (signed: string, signature: string) => boolean;

interface Algorithm {
  fits(key: KeyObject): boolean;
  checkOf(key: KeyObject): Check;
}

const isRsa = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) =>
  asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
const isP256 = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) =>
  asymmetricKeyType === "ec" && asymmetricKeyDetails?.namedCurve === "prime256v1";
const isEd25519 = ({ asymmetricKeyType }: KeyObject) => asymmetricKeyType === "ed25519";

export const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ["HS256", { fits: ({ type }) => type === "secret", checkOf: (key) => hmacKey(key.export()).check }],
  ["RS256", byPublicKey(isRsa, "sha256")],
  ["PS256", byPublicKey(isRsa, "sha256", { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })],
  ["ES256", byPublicKey(isP256, "sha256", { dsaEncoding: "ieee-p1363" })],
  ["EdDSA", byPublicKey(isEd25519, null)],
  ["Ed25519", byPublicKey(isEd25519, null)],
]);

/** The names of the algorithms that a key fits. */
export function algorithmsOf(key: KeyObject): string[] {
  return [...ALGORITHMS].filter(([, { fits }]) => fits(key)).map(([name]) => name);
}

/**
 * By one synchronous call. It costs less CPU than the thread pool, and of RS256 also less of the event loop: handing a check over and
 * getting it back takes as long.
 */
function byPublicKey(fits: Algorithm["fits"], digest: string | null, options?: SigningOptions): Algorithm {
  return {
    fits,
    checkOf(key) {
      const bytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 512) / 8);
      const characters = Math.ceil((bytes * 4) / 3);
      const by = options ? { key, ...options } : key;
      return (signed, signature) =>
        signature.length === characters &&
        verify(digest, Buffer.from(signed, "latin1"), by, Buffer.from(signature, "base64url"));
    },
  };
}
