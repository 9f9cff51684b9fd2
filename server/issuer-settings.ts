/** The setting JWT_ISSUERS: identity providers besides our own issuer, and how the claims of their tokens say who calls. */
import { createPublicKey } from "node:crypto";
import { z } from "zod";
import { isWebAddress } from "./web-address.ts";

/** The names that lead to a claim: `realm_access.roles` is ["realm_access", "roles"]. */
export type ClaimPath = readonly string[];

/** What a value of the claim `role` may stand for: a role, or a scope of a service. */
const GIVEN_ROLES = ["user", "till", "service:issue", "service:read", "service", "admin"] as const;
export type GivenRole = (typeof GIVEN_ROLES)[number];

/** The algorithms of public keys. A provider publishes no secret. */
const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"] as const;

const PEM = "must be a public key in PEM (SPKI)";

/** What a member without a default says where it is not given. */
const needed = (otherwise?: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? "is needed" : otherwise),
});

const text = z.string(needed()).min(1).max(200);

/** A name with `:` or `/` is one claim's, such as `https://shop.example/roles`; else dots lead into objects. A list says the path itself. */
const claim = z.union([
  text
    .transform((name) => (/[:/]/.test(name) ? [name] : name.split(".")))
    .refine((path) => path.every((name) => name !== ""), "is no path of a claim"),
  z.array(text).min(1).max(10),
]);

/** An address of published keys. */
export const keyAddress = z
  .string()
  .refine(isWebAddress, "must be a URL of http or https, without a name or a password in it");

/** A public key. A variable of one line has \n for the ends of lines; PEM has no backslash. */
export const pem = z
  .string()
  .startsWith("-----BEGIN PUBLIC KEY-----")
  .transform((key) => key.replaceAll("\\n", "\n"));

const schema = z
  .strictObject({
    /** `iss`, letter by letter. */
    issuer: text,
    audience: z.union(
      [text.transform((one) => [one]), z.array(text).min(1).max(20)],
      needed("must be a text or a list of texts"),
    ),
    audience_claim: claim.prefault("aud"),
    /** Where the keys are. Without it and `public_key` the issuer says so itself (OpenID Connect Discovery 1.0). */
    jwks: keyAddress.optional(),
    public_key: z.string().startsWith("-----BEGIN PUBLIC KEY-----", PEM).refine(isPublicKey, PEM).optional(),
    algorithms: z
      .array(z.enum(ALGORITHMS))
      .min(1)
      .default([...ALGORITHMS]),
    subject: claim.prefault("sub"),
    user_id: claim.optional(),
    /** Users are known by their subjects: those whom the database knows, or whoever comes. */
    users: z.enum(["known", "create"]).optional(),
    /** Of a new user. */
    display_name: claim.prefault("name"),
    role: claim.prefault("role"),
    /** Our role of a value of the claim `role`. */
    roles: z.record(text, z.enum(GIVEN_ROLES)).default({}),
  })
  .refine(({ user_id, users }) => !(user_id && users), "has user_id and users: leave one of them")
  .refine(({ jwks, public_key }) => !(jwks && public_key), "has jwks and public_key: leave one of them")
  .refine(
    ({ issuer, jwks, public_key }) => jwks || public_key || (isWebAddress(issuer) && !/[?#\s]/.test(issuer)),
    "needs jwks or public_key, since its issuer is no address that could say where its keys are",
  );

export type IssuerSettings = z.infer<typeof schema>;

const NO_LIST = "must be a list in JSON, in brackets: [{…}]";

const list = z
  .array(schema, NO_LIST)
  .min(1, "names no issuer")
  .max(50)
  .superRefine((issuers, context) => {
    const names = issuers.map(({ issuer }) => issuer);
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (twice !== undefined) context.addIssue({ code: "custom", message: `names the issuer ${twice} twice` });
  });

/** The issuers of this text, a list in JSON. Throws an error that says what is wrong with it. */
export function readIssuers(json: string): IssuerSettings[] {
  let given: unknown;
  try {
    given = JSON.parse(json);
  } catch {
    throw new Error(NO_LIST);
  }
  const parsed = list.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new Error(
    parsed.error.issues
      .map(({ path, message }) => [path.join("."), message].filter(Boolean).join(" "))
      .join(", "),
  );
}

function isPublicKey(pem: string): boolean {
  try {
    createPublicKey(pem);
    return true;
  } catch {
    return false;
  }
}
