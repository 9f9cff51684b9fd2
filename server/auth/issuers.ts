/** Who issues tokens: the one issuer of our own tokens, and the identity providers of JWT_ISSUERS. Each has its own keys and mapping. */
import { type Role, SCOPES, type Scope } from "../api/caller.ts";
import type { Clock } from "../clock.ts";
import type { Env } from "../env.ts";
import { type GivenRole, type IssuerSettings, readIssuers } from "../issuer-settings.ts";
import { type Claims, claimAt, type Held, limitedTo, type Mapping, roleAt } from "./claims.ts";
import { type Keys, keysOf, ownKeys } from "./keys.ts";

export interface Issuer extends Mapping {
  /** `iss`. */
  issuer: string;
  keys: Keys;
}

/** Of our own tokens: `role` is one of these, and nothing else is a token of ours. */
const OWN_ROLES: ReadonlyMap<unknown, Role> = new Map(
  (["user", "service", "admin"] as const).map((role) => [role, role]),
);

/** All issuers that the environment names, at least one. Throws if JWT_ISSUERS names JWT_ISSUER too. */
export function issuersOf(
  env: Env,
  report: (error: unknown) => void,
  clock: Pick<Clock, "wall">,
): readonly Issuer[] {
  const others = env.JWT_ISSUERS === undefined ? [] : readIssuers(env.JWT_ISSUERS);
  const keys = ownKeys(env, report, clock);
  const all = others.map((settings) => otherIssuer(settings, keysOf(settings, report, clock)));
  if (keys !== null && all.some(({ issuer }) => issuer === env.JWT_ISSUER))
    throw new Error(`JWT_ISSUERS: the issuer ${env.JWT_ISSUER} is JWT_ISSUER`);
  if (keys !== null) all.unshift(ownIssuer(env, keys));
  if (all.length === 0)
    throw new Error("no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_ISSUERS");
  return all;
}

function ownIssuer({ JWT_ISSUER, JWT_AUDIENCE }: Env, keys: Keys): Issuer {
  return {
    issuer: JWT_ISSUER,
    audience: [JWT_AUDIENCE],
    audienceOf: ({ aud }) => aud,
    subjectOf: ({ sub }) => sub,
    userIdOf: ({ sub }) => sub,
    displayNameOf: () => undefined,
    roleOf: ownRole,
    nameOf: (subject) => subject,
    keys,
  };
}

/**
 * A service's or an admin's token whose scope (RFC 8693) has words of ours may do no more than they say. A token is refused whose scope is
 * neither a text nor a list of texts.
 */
function ownRole({ role: claim, scope }: Claims): Held | null {
  const role = OWN_ROLES.get(claim);
  if (role === undefined) return null;
  if (role === "user") return { role };
  const scopes = scopesIn(scope);
  return scopes === null ? null : limitedTo(scopes, role);
}

/** Words with spaces between them, or a list of such texts, as some signers write it; other words are theirs. Null: it is no scope. */
function scopesIn(scope: unknown = []): Scope[] | null {
  const texts = [scope].flat();
  if (!texts.every((text) => typeof text === "string")) return null;
  const words = texts.flatMap((text) => text.split(/\s/));
  return SCOPES.filter((one) => words.includes(one));
}

/** Its `role` may be anything: who has none of ours is a user. */
function otherIssuer(settings: IssuerSettings, keys: Keys): Issuer {
  const { issuer, audience, audience_claim, subject, user_id, users, display_name, role } = settings;
  const roles: ReadonlyMap<unknown, GivenRole> = new Map(Object.entries(settings.roles));
  return {
    issuer,
    audience,
    audienceOf: (claims) => claimAt(claims, audience_claim),
    subjectOf: (claims) => claimAt(claims, subject),
    userIdOf: (claims) => user_id && claimAt(claims, user_id),
    ...(users === undefined ? {} : { users }),
    displayNameOf: (claims) => claimAt(claims, display_name),
    roleOf: (claims) => roleAt(claims, role, roles),
    nameOf: (text) => `${text} of ${issuer}`,
    keys,
  };
}
