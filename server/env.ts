/**
 * Every variable of the environment that the project reads, in one typed place. Its texts are what .env.example, the README's
 * table and ./sd status say: with UPDATE_README=1 env.test.ts writes the first two anew.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { z } from "zod";

interface Text {
  description: string;
  /** What holds without it, where that is no value: "a generated secret". */
  otherwise?: string;
  /** Never shown. */
  secret?: true;
}

const texts = z.registry<Text>();

const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, "must begin with postgres://")
  .refine(URL.canParse, "must be a URL: postgres://login:password@host:5432/database");

/** A whole number, given as decimal digits. */
function whole(first: number, last: number) {
  const error = `must be a whole number from ${first} to ${last}`;
  return z
    .string()
    .regex(/^[0-9]{1,9}$/, { error, abort: true })
    .transform(Number)
    .refine((n) => n >= first && n <= last, error);
}

const schema = z.object({
  PORT: whole(0, 65_535).prefault("3000").register(texts, { description: "port of the HTTP server" }),
  HOST: z
    .string()
    .min(1)
    .default("0.0.0.0")
    .register(texts, { description: "address that the HTTP server listens on" }),
  WORKERS: whole(1, 64).prefault("1").register(texts, {
    description: "processes behind the port, each with 16 connections of its own to the database",
  }),
  DATA_DIR: z
    .string()
    .min(1)
    .transform((path) => resolve(path))
    .prefault(".data")
    .register(texts, {
      description:
        "embedded database, its passwords, the token secret; a relative path begins at the checkout",
    }),
  DATABASE_URL: postgresUrl.optional().register(texts, {
    description: "PostgreSQL 15 or newer to set up and use, by a login that may create roles",
    otherwise: "the embedded one",
  }),
  API_DATABASE_URL: postgresUrl.optional().register(texts, {
    description:
      "the server's own login (`coupon_api`). Without `DATABASE_URL`: serve only, set-up is done elsewhere",
    otherwise: "derived",
  }),
  SEED: z.enum(["demo", "off"]).default("demo").register(texts, {
    description: "`demo`: users and coupons to try, in an empty database or one that it filled; `off`: none",
  }),
  DEMO: z.enum(["loopback", "on", "off"]).optional().register(texts, {
    description:
      "whom `POST /demo/token` hands tokens of anybody, admins too, so that the page works at once: `loopback` (this machine), `on` (whoever asks), `off`",
    otherwise: "loopback where the demo is seeded and the secret is a generated one, else off",
  }),
  CORS_ORIGINS: z
    .string()
    .transform((list) => list.split(/[ ,]+/).filter(Boolean))
    .refine(
      (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
      "must be origins like https://shop.example",
    )
    .prefault("")
    .register(texts, {
      description:
        "origins whose pages may call the API, with commas between: `https://shop.example,https://www.example`",
      otherwise: "none",
    }),
  RATE_LIMIT: whole(0, 1_000_000).prefault("100").register(texts, {
    description:
      "requests that a user may send in 10 s to each process, all at once if need be; services and admins have no limit; 0: nobody has",
  }),
  METRICS_TOKEN: z
    .string()
    .regex(/^[!-~]{16,}$/, "must have at least 16 characters, visible ASCII")
    .optional()
    .register(texts, {
      description: "what `GET /metrics` takes as its bearer token",
      otherwise: "none: it answers this machine only",
      secret: true,
    }),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info").register(texts, {
    description:
      "debug (every request), info (what changed something; refusals and failures 10 a second of each status, and how many more), warn, error",
  }),
  JWT_SECRET: z.string().min(32, "must have at least 32 characters").optional().register(texts, {
    description: "HS256 secret that tokens are signed with",
    otherwise: "a generated one, where no other key is given",
    secret: true,
  }),
  JWT_PUBLIC_KEY: z.string().startsWith("-----BEGIN PUBLIC KEY-----").optional().register(texts, {
    description:
      "PEM (SPKI) of the public key that tokens are signed with instead: RS256, PS256, ES256 or EdDSA",
  }),
  JWT_JWKS_URL: z
    .url()
    .optional()
    .register(texts, { description: "where the keys that tokens are signed with are published instead" }),
  JWT_ISSUER: z
    .string()
    .min(1)
    .default("coupon-drop")
    .register(texts, { description: "expected `iss` of a token" }),
  JWT_AUDIENCE: z
    .string()
    .min(1)
    .default("coupon-drop")
    .register(texts, { description: "expected `aud` of a token" }),
});

export type Env = z.infer<typeof schema>;

export interface Variable extends Text {
  name: keyof Env;
  /** As one would give it. */
  default: string | undefined;
}

/** The variables, in order. */
export const variables: readonly Variable[] = Object.entries(schema.shape).map(([name, field]) => ({
  name: name as keyof Env,
  ...(texts.get(field) as Text),
  default: z.toJSONSchema(field, { io: "input" }).default as string | undefined,
}));

/**
 * The environment, checked; throws one sentence a wrong variable. An empty variable counts as not given. `file` is the text of
 * the .env that Node was started with: there a name that isn't ours is a typing error.
 */
export function readEnv(given: NodeJS.ProcessEnv = process.env, file = envFile()): Env {
  const named = variables
    .map(({ name }) => [name, given[name]] as const)
    .filter(([, value]) => value !== undefined && value !== "");
  const unknown = Object.keys(parseEnv(file))
    .filter((name) => !(name in schema.shape))
    .sort();
  const parsed = schema.safeParse(Object.fromEntries(named));
  if (parsed.success && unknown.length === 0) return parsed.data;
  const sentences = [
    ...unknown.map((name) => `.env: there is no variable ${name}, see .env.example`),
    ...(parsed.error?.issues ?? []).map((issue) => `${issue.path.join(".")}: ${issue.message}`),
  ];
  throw new Error(`the environment is wrong. ${sentences.join(". ")}`);
}

function envFile(): string {
  const path = process.execArgv.find((arg) => arg.startsWith("--env-file="))?.slice("--env-file=".length);
  return path === undefined ? "" : readFileSync(path, "utf8");
}

/** Each variable with what it comes to, fit to be shown. */
export function shown(
  env: Env,
  given: NodeJS.ProcessEnv = process.env,
): { name: string; value: string; isGiven: boolean }[] {
  return variables.map(({ name, otherwise, secret }) => {
    const value = String(env[name] ?? "");
    const text = value === "" ? (otherwise ?? "none") : masked(value, secret);
    return { name, value: text, isGiven: Boolean(given[name]) };
  });
}

/** A secret by its length, a URL without its passwords, anything else on one line. */
function masked(text: string, secret = false): string {
  if (secret) return `set (${text.length} characters)`;
  return text
    .replace(/^(\w+:\/\/[^/?#]*?):[^/?#]*@/, "$1:***@")
    .replace(/([?&]\w*password=)[^&#]*/gi, "$1***")
    .replace(/\s+/g, " ");
}
