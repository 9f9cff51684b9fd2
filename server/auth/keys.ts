/** The keys that tokens are checked with: a secret, one public key, or keys that are published (JWKS, RFC 7517). */
import { createPublicKey, createSecretKey, KeyObject } from "node:crypto";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import type { Env } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { ALGORITHMS, algorithmsOf } from "./algorithms.ts";

/** The head of a token. */
export type Header = Parameters<JWTVerifyGetKey>[0];

export interface Keys {
  /** The names of the algorithms that tokens may have. */
  algorithms: readonly string[];
  /** Another number whenever the keys are others: what was checked before is checked anew. Asks for newer keys when it is time to. */
  generation(): number;
  /** The key of a token with this header; null if there is none. Throws if keys cannot be fetched. */
  keyOf(header: Header): KeyObject | Promise<KeyObject | null>;
}

/** Published keys are fetched again when they are needed and this old. */
const AGED_MS = 30_000;
/** They are fetched at most this often. */
const RETRY_MS = 1_000;
/** While the key server is down, known keys stay valid this long: most outages are shorter, and a withdrawn key must end. */
const KEPT_MS = 3_600_000;
const TIMEOUT_MS = 5_000;

/**
 * The keys that the environment names: JWT_JWKS_URL, JWT_PUBLIC_KEY or JWT_SECRET. `report` gets the error when published keys could
 * not be fetched in the background.
 */
export function keysOf(env: Env, report: (error: unknown) => void): Keys {
  const given = (["JWT_JWKS_URL", "JWT_PUBLIC_KEY", "JWT_SECRET"] as const).filter((name) => env[name]);
  if (given.length === 0)
    throw new Error("no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL");
  if (given.length > 1)
    throw new Error(`${given.join(" and ")} are set: tokens have one key, leave one of them`);
  if (env.JWT_JWKS_URL) return publishedKeys(env.JWT_JWKS_URL, report);
  return oneKey(
    env.JWT_PUBLIC_KEY
      ? readPublicKey(env.JWT_PUBLIC_KEY)
      : createSecretKey(Buffer.from(env.JWT_SECRET as string)),
  );
}

function oneKey(key: KeyObject): Keys {
  return { algorithms: algorithmsOf(key), generation: () => 1, keyOf: () => key };
}

function readPublicKey(pem: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey(pem);
  } catch {}
  if (key !== undefined && algorithmsOf(key).length > 0) return key;
  throw new Error("JWT_PUBLIC_KEY: no RSA (2048 bits or more), P-256 or Ed25519 key");
}

/**
 * Published keys. The first request that comes 30 s after the last fetch fetches them again, and requests with a known key do not wait
 * for that. If the key server is down, tokens of known keys stay valid, and a token of an unknown key is neither valid nor invalid.
 * The clock is Date, so that tests can mock it.
 */
function publishedKeys(url: string, report: (error: unknown) => void): Keys {
  let known: { keyOf: ReturnType<typeof createLocalJWKSet>; text: string; fetchedAt: number } | undefined;
  let generation = 1;
  let askedAt = -Infinity;
  let asking: Promise<void> | undefined;
  const isWithin = (ms: number, of: number) => Math.abs(Date.now() - of) < ms;

  async function fetchKeys(): Promise<void> {
    if (isWithin(RETRY_MS, askedAt)) throw new Error("the keys of tokens were asked for within this second");
    askedAt = Date.now();
    const response = await fetch(url, {
      headers: { accept: "application/json, application/jwk-set+json" },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status !== 200) throw new Error(`the keys of tokens were answered with ${response.status}`);
    const published = (await response.json()) as JSONWebKeySet;
    const keyOf = createLocalJWKSet(published);
    const text = JSON.stringify(published.keys.map((key) => JSON.stringify(key)).sort());
    if (known?.text !== text) generation += 1;
    known = { keyOf, text, fetchedAt: Date.now() };
  }

  function ask(): Promise<void> {
    asking ??= fetchKeys().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function find(header: Header): Promise<KeyObject | null> {
    try {
      if (known === undefined) await ask();
      return await chosen(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      if (known === undefined || isWithin(AGED_MS, known.fetchedAt)) return null;
      await ask();
      return chosen(header);
    }
  }

  async function chosen(header: Header): Promise<KeyObject | null> {
    const key = await known?.keyOf(header);
    return key === undefined ? null : KeyObject.from(key);
  }

  return {
    algorithms: [...ALGORITHMS.keys()].filter((name) => name !== "HS256"),
    generation() {
      if (known !== undefined && !isWithin(KEPT_MS, known.fetchedAt)) {
        known = undefined;
        generation += 1;
      }
      if (known !== undefined && !isWithin(AGED_MS, known.fetchedAt) && asking === undefined)
        if (!isWithin(RETRY_MS, askedAt)) ask().catch(report);
      return generation;
    },
    async keyOf(header) {
      try {
        return await find(header);
      } catch (error) {
        const isTokens =
          error instanceof errors.JWKSNoMatchingKey ||
          error instanceof errors.JWKSMultipleMatchingKeys ||
          error instanceof errors.JOSENotSupported;
        if (isTokens) return null;
        throw new Problem("keys_unavailable", { retryAfter: 1 }, error);
      }
    },
  };
}
