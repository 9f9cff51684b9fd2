/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required, and role = user, service or admin. The sub of a
 * user is its user_id. A service's or an admin's token whose scope (RFC 8693) has the word `use` is a till's. A token is checked at once, on the event loop, because every request of a burst may have another; by public key
 * it is known when it comes again. Only keys that must be fetched first make a request wait. What is valid is what jose (6.2.17) takes,
 * with one spelling of an HMAC.
 */
import type { KeyObject } from "node:crypto";
import { decodeProtectedHeader } from "jose";
import type { Caller, Role } from "../api/caller.ts";
import { isText } from "../api/values.ts";
import type { Env } from "../env.ts";
import { ALGORITHMS, type Check } from "./algorithms.ts";
import { hmacKey } from "./hs256.ts";
import { type Header, type Keys, keysOf } from "./keys.ts";
import { createKnown, type Verified } from "./known.ts";

/** The caller of a token; null if the token is not valid. Throws if the keys cannot be fetched. */
export type Authenticate = (token: string) => Caller | null | Promise<Caller | null>;

type Expectation = Pick<Env, "JWT_ISSUER" | "JWT_AUDIENCE">;

const DAY_S = 86_400;

/** The clock of who signs may be ahead of ours by this: a token that was made just now is valid. `exp` is exact. */
const AHEAD_S = 10;

/** Whoever signs has few headers. The key of each is found once. */
const MAX_HEADERS = 100;

/** Three parts in base64url, which is ASCII, so one character is one byte. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Checks tokens with the one key that the environment names, or with those that it publishes. `report` gets the error when published
 * keys could not be fetched in the background.
 */
export async function createAuthenticate(
  env: Env,
  report: (error: unknown) => void = () => {},
): Promise<Authenticate> {
  const keys = keysOf(env, report);
  // Not by a secret: to look up whoever comes again saves 4 µs of it, and costs 3 of whoever comes first.
  const known = keys.algorithms.includes("HS256") ? undefined : createKnown();
  /** By the header as it is written, of tokens that were valid: a stranger cannot fill it. */
  const checks = new Map<string, Check>();
  let generation = 0;
  /** Who is refused on the short way is asked for again by the routes: its signature is checked once. */
  let forged: string | undefined;

  /** `asked` is the generation of the key: of an earlier one nothing is remembered. */
  function verify(token: string, header: string, check: Check | null, asked: number): Caller | null {
    if (check === null) return null;
    const now = Date.now() / 1000;
    const end = token.lastIndexOf(".");
    // The claims first: they cost less than a signature, and most tokens that are not valid have expired.
    const verified = readClaims(token.slice(header.length + 1, end), env, now);
    if (verified === null) return null;
    if (!check(token.slice(0, end), token.slice(end + 1))) {
      if (asked === generation) forged = token;
      return null;
    }
    known?.add(token, asked, now, verified);
    if (asked === generation && checks.size < MAX_HEADERS) checks.set(header, check);
    return verified.caller;
  }

  return (token) => {
    const asked = keys.generation();
    if (asked !== generation) {
      generation = asked;
      checks.clear();
      forged = undefined;
    }
    const caller = known?.find(token, asked, Date.now() / 1000);
    if (caller !== undefined) return caller;
    if (token === forged || !COMPACT.test(token)) return null;
    const header = token.slice(0, token.indexOf("."));
    const check = checks.get(header) ?? findCheck(token, keys);
    return check instanceof Promise
      ? check.then((found) => verify(token, header, found, asked))
      : verify(token, header, check, asked);
  };
}

/** What checks the tokens with this one's header; null if none can be valid. */
function findCheck(token: string, keys: Keys): Check | null | Promise<Check | null> {
  const header = readHeader(token);
  const algorithm = ALGORITHMS.get(header?.alg ?? "");
  if (header === null || algorithm === undefined || !keys.algorithms.includes(header.alg)) return null;
  const checkBy = (key: KeyObject | null) =>
    key !== null && algorithm.fits(key) ? algorithm.checkOf(key) : null;
  const key = keys.keyOf(header);
  return key instanceof Promise ? key.then(checkBy) : checkBy(key);
}

/** A header without critical extensions. Only b64 is known (RFC 7797), and a JWT has it as it is without. */
function readHeader(token: string): Header | null {
  try {
    const header = decodeProtectedHeader(token);
    const { alg, crit, b64 } = header as Record<string, unknown>;
    const isPlain =
      crit === undefined ||
      (Array.isArray(crit) && crit.length > 0 && crit.every((name) => name === "b64") && b64 === true);
    return typeof alg === "string" && isPlain ? (header as Header) : null;
  } catch {
    return null;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The caller that these claims, in base64url, name for us and for now (seconds since 1970). */
function readClaims(claims: string, expected: Expectation, now: number): Verified | null {
  const { iss, aud, exp, nbf = 0, iat = 0, sub, role, scope } = parse(claims) ?? {};
  const isForUs =
    iss === expected.JWT_ISSUER &&
    (aud === expected.JWT_AUDIENCE || (Array.isArray(aud) && aud.includes(expected.JWT_AUDIENCE)));
  const isNow =
    isInstant(exp) && exp > now && isInstant(nbf) && nbf <= Math.floor(now) + AHEAD_S && isInstant(iat);
  const caller = isForUs && isNow ? readCaller(sub, role, scope) : null;
  return caller && { caller, exp: exp as number };
}

function parse(part: string): Record<string, unknown> | null {
  // So many characters are of no bytes.
  if (part.length % 4 === 1) return null;
  try {
    const value = JSON.parse(utf8.decode(Buffer.from(part, "base64url")));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function isInstant(claim: unknown): claim is number {
  return typeof claim === "number" && Number.isFinite(claim);
}

function readCaller(subject: unknown, role: unknown, scope: unknown): Caller | null {
  if (typeof subject !== "string" || subject.length === 0 || subject.length > 200) return null;
  if (!isText(subject)) return null;
  if (role === "service" || role === "admin") return { role: isOfTill(scope) ? "till" : role, subject };
  if (role !== "user" || !/^[1-9][0-9]{0,15}$/.test(subject)) return null;
  const user_id = Number(subject);
  return Number.isSafeInteger(user_id) ? { role, user_id, subject } : null;
}

/** Words with spaces between them, or a list of words, as some identity providers write it; other words are theirs. */
function isOfTill(scope: unknown): boolean {
  const words = typeof scope === "string" ? scope.split(" ") : scope;
  return Array.isArray(words) && words.includes("use");
}

/** Signs a token with the shared secret; it is valid for a day. For development, tests and benches. */
export function signToken(
  secret: string,
  expected: Expectation,
  who: { role: Role; subject: string },
): string {
  const now = Math.floor(Date.now() / 1000);
  return hmacKey(secret).sign({
    ...(who.role === "till" ? { role: "service", scope: "use" } : { role: who.role }),
    sub: who.subject,
    iss: expected.JWT_ISSUER,
    aud: expected.JWT_AUDIENCE,
    iat: now,
    exp: now + DAY_S,
  });
}
