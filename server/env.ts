/** Every variable of the environment that the project reads, in one typed place. */
import { resolve } from "node:path";
import { z } from "zod";

const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, "must begin with postgres://")
  .refine(URL.canParse, "must be a URL: postgres://login:password@host:5432/database");

const schema = z.object({
  /** Port of the HTTP server. */
  PORT: z
    .string()
    .regex(/^[0-9]{1,5}$/, { error: "must be a whole number from 0 to 65535", abort: true })
    .transform(Number)
    .refine((port) => port <= 65_535, "must be a whole number from 0 to 65535")
    .default(3000),
  /** Processes behind the port, each with connections of its own to the database. */
  WORKERS: z
    .string()
    .regex(/^[1-9][0-9]?$/, { error: "must be a whole number from 1 to 64", abort: true })
    .transform(Number)
    .refine((workers) => workers <= 64, "must be a whole number from 1 to 64")
    .default(1),
  /** Address that the HTTP server listens on. */
  HOST: z.string().min(1).default("0.0.0.0"),
  /** Where the embedded database, its passwords and the token secret live. */
  DATA_DIR: z
    .string()
    .min(1)
    .default(".data")
    .transform((path) => resolve(path)),
  /** The database to set up and use, by a login that may create roles; without it the embedded one. */
  DATABASE_URL: postgresUrl.optional(),
  /** The server's own login (coupon_api), where set-up is done elsewhere. */
  API_DATABASE_URL: postgresUrl.optional(),
  /** demo: 100,000 users and six coupons when the database is empty or a demo already; off: nothing. */
  SEED: z.enum(["demo", "off"]).default("demo"),
  /** Origins whose pages may call the API from a browser, with commas between: https://shop.example,https://www.example. */
  CORS_ORIGINS: z
    .string()
    .transform((list) => list.split(",").map((origin) => origin.trim()))
    .refine(
      (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
      "must be origins like https://shop.example, with commas between",
    )
    .default([]),
  /** debug adds a line for each request, refusals included. */
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** What GET /metrics takes as its bearer token; without it, it answers this machine only. */
  METRICS_TOKEN: z
    .string()
    .regex(/^[!-~]{16,}$/, "must have at least 16 characters, visible ASCII")
    .optional(),
  /** HS256 secret of the bearer tokens; without any JWT_… variable the one that set-up generated. */
  JWT_SECRET: z.string().min(32, "must have at least 32 characters").optional(),
  /** PEM (SPKI) of the public key that tokens are signed with: RS256, PS256, ES256 or EdDSA. */
  JWT_PUBLIC_KEY: z.string().startsWith("-----BEGIN PUBLIC KEY-----").optional(),
  /** Where the signing keys are published. */
  JWT_JWKS_URL: z.url().optional(),
  /** Expected iss of a token. */
  JWT_ISSUER: z.string().min(1).default("coupon-drop"),
  /** Expected aud of a token. */
  JWT_AUDIENCE: z.string().min(1).default("coupon-drop"),
});

export type Env = z.infer<typeof schema>;

/** The environment, checked; throws one sentence a wrong variable. An empty variable counts as not given. */
export function readEnv(variables: NodeJS.ProcessEnv = process.env): Env {
  const given = Object.fromEntries(
    Object.keys(schema.shape)
      .map((name) => [name, variables[name]] as const)
      .filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const sentences = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`the environment is wrong. ${sentences.join(". ")}`);
}
