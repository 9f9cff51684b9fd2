/** The keys that tokens are checked with: a secret, one public key, or keys that are published (JWKS, RFC 7517). */
import { createPublicKey, createSecretKey, type JsonWebKey, KeyObject } from "node:crypto";
import type { JSONWebKeySet, JWK, JWTVerifyGetKey } from "jose";
import * as errors from "jose/errors";
import { createLocalJWKSet } from "jose/jwks/local";
import type { Clock } from "../clock.ts";
import type { Env } from "../env.ts";
import { Problem, soon } from "../http/problem.ts";
import type { IssuerSettings } from "../issuer-settings.ts";
import { isWebAddress } from "../web-address.ts";
import { ALGORITHMS, algorithmsOf } from "./algorithms.ts";

type Report = (error: unknown) => void;
type WallClock = Pick<Clock, "wall">;

/** The head of a token. */
export type Header = Parameters<JWTVerifyGetKey>[0];

export interface Keys {
  /** The names of the algorithms that tokens may have. */
  algorithms: readonly string[];
  /** Another number whenever the keys are others: what was checked before is checked anew. Asks for newer keys when it is time to. */
  generation(): number;
  /** The keys one of which may be that of a token with this header: published keys may share a name. Throws if keys cannot be fetched. */
  candidates(header: Header): readonly KeyObject[] | Promise<readonly KeyObject[]>;
}

/** Published keys are fetched again when they are needed and this old. */
const AGED_MS = 30_000;
/** Or this old, for a token of a key that is not among them: an issuer may sign by a new key at once (OpenID Connect Core 1.0, section 10.1.1). */
const LACKING_MS = 5_000;
/** They are fetched at most this often. */
const RETRY_MS = 1_000;
/** While the key server is down, known keys stay valid this long: most outages are shorter, and a withdrawn key must end. */
const KEPT_MS = 3_600_000;
const TIMEOUT_MS = 5_000;
/** Of a document of keys, or of an issuer's of itself, bytes: fifty times what the large providers publish. */
const MAX_DOCUMENT = 1_048_576;
const PUBLIC = [...ALGORITHMS.keys()].filter((name) => name !== "HS256");

/**
 * The keys of our own tokens: JWT_JWKS_URL, JWT_PUBLIC_KEY or JWT_SECRET; null if there is none. `report` gets the error when published
 * keys could not be fetched in the background.
 */
export function ownKeys(env: Env, report: Report, clock: WallClock): Keys | null {
  const { JWT_JWKS_URL: url, JWT_PUBLIC_KEY: pem, JWT_SECRET: secret } = env;
  const given = (["JWT_JWKS_URL", "JWT_PUBLIC_KEY", "JWT_SECRET"] as const).filter((name) => env[name]);
  if (given.length > 1)
    throw new Error(`${given.join(" and ")} are set: tokens have one key, leave one of them`);
  if (url) return publishedKeys({ jwks: url, algorithms: PUBLIC }, report, clock);
  if (pem) return oneKey(readPublicKey(pem, "JWT_PUBLIC_KEY"));
  return secret ? oneKey(createSecretKey(Buffer.from(secret))) : null;
}

/** The keys of an identity provider. */
export function keysOf(settings: IssuerSettings, report: Report, clock: WallClock): Keys {
  const { issuer, public_key: pem, algorithms } = settings;
  if (pem === undefined) return publishedKeys(settings, report, clock);
  const key = readPublicKey(pem, `JWT_ISSUERS: public_key of ${issuer}`);
  const both = algorithmsOf(key).filter((name) => algorithms.some((other) => other === name));
  if (both.length === 0)
    throw new Error(`JWT_ISSUERS: public_key of ${issuer} fits none of ${algorithms.join(", ")}`);
  return oneKey(key, both);
}

function oneKey(key: KeyObject, algorithms = algorithmsOf(key)): Keys {
  return { algorithms, generation: () => 1, candidates: () => [key] };
}

function readPublicKey(pem: string, name: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey(pem);
  } catch {}
  if (key !== undefined && algorithmsOf(key).length > 0) return key;
  throw new Error(`${name}: no RSA (2048 bits or more), P-256 or Ed25519 key`);
}

/**
 * Published keys. The first request that comes 30 s after the last fetch fetches them again, and requests with a known key do not wait
 * for that. Those with an unknown key do, at most every 5 s. If the key server is down, tokens of known keys stay valid, and a token of an
 * unknown key is neither valid nor invalid.
 */
function publishedKeys(
  { issuer, jwks, algorithms }: { issuer?: string; jwks?: string | undefined; algorithms: readonly string[] },
  report: Report,
  { wall }: WallClock,
): Keys {
  let known: { find: ReturnType<typeof createLocalJWKSet>; text: string; fetchedAt: number } | undefined;
  let generation = 1;
  let askedAt = -Infinity;
  let asking: Promise<void> | undefined;
  /** As the issuer said last. */
  let discovered: string | undefined;
  const isWithin = (ms: number, of: number) => Math.abs(wall() - of) < ms;

  async function fetchKeys(): Promise<void> {
    if (isWithin(RETRY_MS, askedAt)) throw new Error("the keys of tokens were asked for within this second");
    askedAt = wall();
    const from = jwks ?? (await place(issuer as string));
    const { keys: published } = (await fetchJson(from)) as Partial<JSONWebKeySet>;
    if (!Array.isArray(published)) throw new Error(`${said(from)} has no list of keys`);
    const keys = published.flatMap(usableOf);
    const text = JSON.stringify(keys.map((key) => JSON.stringify(key)).sort());
    if (known?.text !== text) generation += 1;
    known = { find: createLocalJWKSet({ keys }), text, fetchedAt: wall() };
  }

  /** Asked each time: an issuer may move its keys, and what answers at the former address may go on doing so. */
  async function place(issuer: string): Promise<string> {
    discovered = await discover(issuer).catch((error) => {
      if (discovered === undefined) throw error;
      report(error);
      return discovered;
    });
    return discovered;
  }

  function ask(): Promise<void> {
    asking ??= fetchKeys().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function find(header: Header): Promise<KeyObject[]> {
    if (known === undefined) await ask();
    const found = await chosen(header);
    if (found.length > 0 || known === undefined || isWithin(LACKING_MS, known.fetchedAt)) return found;
    await ask();
    return chosen(header);
  }

  async function chosen(header: Header): Promise<KeyObject[]> {
    try {
      const key = await known?.find(header);
      return key === undefined ? [] : [KeyObject.from(key)];
    } catch (error) {
      const found: KeyObject[] = [];
      if (error instanceof errors.JWKSMultipleMatchingKeys)
        for await (const key of error) found.push(KeyObject.from(key));
      else if (!(error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JOSENotSupported))
        throw error;
      return found;
    }
  }

  return {
    algorithms,
    generation() {
      if (known !== undefined && !isWithin(KEPT_MS, known.fetchedAt)) {
        known = undefined;
        generation += 1;
      }
      if (known !== undefined && !isWithin(AGED_MS, known.fetchedAt) && asking === undefined)
        if (!isWithin(RETRY_MS, askedAt)) ask().catch(report);
      return generation;
    },
    async candidates(header) {
      try {
        return await find(header);
      } catch (error) {
        throw new Problem("keys_unavailable", { retryAfter: soon() }, error);
      }
    },
  };
}

/** Where an issuer says that its keys are (OpenID Connect Discovery 1.0, section 4). */
async function discover(issuer: string): Promise<string> {
  const from = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const { issuer: named, jwks_uri: at } = (await fetchJson(from)) as Record<string, unknown>;
  if (named !== issuer) throw new Error(`${from} is of the issuer ${JSON.stringify(named)}`);
  // Who may change what is sent in clear could give keys of its own.
  const isClear = issuer.startsWith("http:");
  if (typeof at === "string" && isWebAddress(at) && (isClear || at.startsWith("https:"))) return at;
  throw new Error(`${from} has no jwks_uri with https`);
}

/** What fails says where, since there may be several issuers. */
async function fetchJson(url: string): Promise<object> {
  const document = await fetchDocument(url).catch((error) => {
    throw new Error(`${said(url)} ${whyNot(error)}`, { cause: error });
  });
  if (typeof document === "object" && document !== null) return document;
  throw new Error(`${said(url)} is no object`);
}

async function fetchDocument(url: string): Promise<unknown> {
  const response = await fetch(url, {
    headers: { accept: "application/json, application/jwk-set+json" },
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`was answered with ${response.status}`);
  }
  return JSON.parse(await textOf(response));
}

/** fetch() says why in the cause of its error. A document that is none may be quoted by its own. */
function whyNot(error: Error & { cause?: Error & { code?: string } }): string {
  const { name, message, cause } = error;
  if (name === "TimeoutError") return `did not answer in ${TIMEOUT_MS / 1_000} s`;
  if (name === "SyntaxError") return "is no JSON";
  return cause === undefined ? message : `cannot be fetched: ${cause.message || cause.code}`;
}

/** Read in parts, since fetch() itself reads what never ends, and unpacks what is packed, until the time is over. */
async function textOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const part of body ?? []) {
    size += part.length;
    if (size > MAX_DOCUMENT) throw new Error(`has more than ${MAX_DOCUMENT} bytes`);
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

/** An address as the log may have it: its query may be a secret. */
const said = (url: string) => url.replace(/\?.*/s, "");

/**
 * A published key, if tokens can be signed with it: in one spelling, without what is published beside it (a certificate, an end, a private
 * half), which may change or be refused. Providers also publish keys of other kinds and for other ends, which say nothing about tokens.
 */
function usableOf(published: unknown): JWK[] {
  try {
    const jwk = published as JWK;
    const key = createPublicKey({ key: jwk as JsonWebKey, format: "jwk" });
    if (algorithmsOf(key).length === 0) return [];
    const { kid, alg, use, key_ops } = jwk;
    const ops = key_ops?.filter((op) => op === "verify");
    return [Object.assign(key.export({ format: "jwk" }), { kid, alg, use, key_ops: ops }) as JWK];
  } catch {
    return [];
  }
}
