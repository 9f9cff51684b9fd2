/**
 * Every variable of the environment that the project reads. .env.example, the table of settings in server/README.md and ./sd status
 * show its texts. `UPDATE_README=1 ./sd test server/env.test.ts` writes the first two.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { z } from "zod";
import { standbyOf, targetOf } from "../db/target.ts";
import { keyAddress, pem, readIssuers } from "./issuer-settings.ts";
import { collectorAddress, headersOf, pairsOf, SAMPLERS } from "./trace-settings.ts";

interface Text {
  description: string;
  /** What happens without it, where the default is not a value: "a generated secret". */
  otherwise?: string;
  /** Never shown. */
  secret?: true;
}

const texts = z.registry<Text>();

/** A database's URL, which `read` takes. */
const postgresUrl = (read: (url: string) => unknown) =>
  z
    .string()
    .regex(/^postgres(ql)?:\/\//, { error: "must begin with postgres://", abort: true })
    .superRefine(readableBy(read));

/** A text that `read` does not throw at. */
function readableBy(read: (text: string) => unknown) {
  return (text: string, context: z.RefinementCtx) => {
    try {
      read(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
    }
  };
}

/** As browsers send it, which is not what URL calls one where an app has a scheme of its own: that is then "null". */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, host } = new URL(text);
  return host !== "" && `${protocol}//${host}` === text;
}

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
  PORT: whole(0, 65_535).prefault("3000").register(texts, { description: "port that the server listens on" }),
  HOST: z
    .string()
    .min(1)
    .default("0.0.0.0")
    .register(texts, { description: "address that the server listens on" }),
  WORKERS: whole(1, 64).prefault("1").register(texts, {
    description: "number of server processes behind the port; each opens up to 21 database connections",
  }),
  DRAIN_DELAY: whole(0, 600).prefault("0").register(texts, {
    description:
      "seconds from SIGTERM to the closing of the port. Meanwhile `/readyz` answers 503 and everything else is served: give load balancers longer than they take to notice",
  }),
  KEEP_ALIVE_TIMEOUT: whole(1, 3_600).prefault("65").register(texts, {
    description:
      "seconds that a connection may be idle between two requests; longer than a proxy in front keeps it, so that the proxy is the one to close it",
  }),
  DATA_DIR: z
    .string()
    .min(1)
    .transform((path) => resolve(path))
    .prefault(".data")
    .register(texts, {
      description:
        "directory of the embedded database, its passwords and the token secret; a relative path starts at the checkout",
    }),
  DATABASE_URL: postgresUrl(targetOf).optional().register(texts, {
    description:
      "PostgreSQL 15 or newer: the URL of the database and of the login that sets it up, which owns the database and has `CREATEROLE`",
    otherwise: "the embedded PostgreSQL",
  }),
  API_DATABASE_URL: postgresUrl(targetOf).optional().register(texts, {
    description:
      "the URL that the server itself connects with, as `coupon_api`. If it is given without `DATABASE_URL`, the server only serves: set-up runs elsewhere",
    otherwise: "derived from `DATABASE_URL`",
  }),
  // Whose login and database it is when it names none, the server knows.
  READ_DATABASE_URL: postgresUrl((url) => standbyOf(url, { login: "coupon_api", password: "", database: "" }))
    .optional()
    .register(texts, {
      description:
        "standbys that the server reads from, as long as they are within a second of the primary: `postgres://standby.example`. Login, password and database are those of the server where it names none",
      otherwise: "all is read from the primary",
    }),
  SEED: z.enum(["demo", "off"]).optional().register(texts, {
    description:
      "`demo`: set-up adds demo users and coupons to an empty database, and coupons of new days to one that it filled before; `off`: it adds nothing",
    otherwise: "demo on the embedded PostgreSQL, off with `DATABASE_URL` or `API_DATABASE_URL`",
  }),
  DEMO: z.enum(["on", "off"]).optional().register(texts, {
    description:
      "who may get a token of any user or admin from `POST /demo/token`, which the page uses: `on` (whoever asks, from anywhere), `off` (nobody)",
    otherwise: "who has `DEMO_KEY`; nobody if there is none",
  }),
  DEMO_KEY: z
    .string()
    .regex(/^[\w.~-]{32,}$/, "must have at least 32 characters: letters, digits, - . _ ~")
    .optional()
    .register(texts, {
      description:
        "bearer token that `POST /demo/token` requires; the page takes it from a link that ends in `#demo=<key>`",
      otherwise:
        "`./sd start` generates one at each start, and prints the link, on the embedded PostgreSQL with a seeded demo and a generated token secret; elsewhere none",
      secret: true,
    }),
  CORS_ORIGINS: z
    .string()
    .transform((list) => list.split(/[ ,]+/).filter(Boolean))
    .refine((origins) => origins.every(isOrigin), "must be origins like https://shop.example")
    .prefault("")
    .register(texts, {
      description:
        "origins whose pages may call the API, separated by commas: `https://shop.example,https://www.example`; an app in a web view has one too: `capacitor://localhost`",
      otherwise: "none",
    }),
  PUBLIC_OFFERS: z.enum(["on", "off"]).default("on").register(texts, {
    description:
      "`on`: what is on offer can be read and watched without a token, and caches may keep it for a second; `off`: it needs a token too",
  }),
  FILL_DAYS: z.enum(["on", "off"]).default("on").register(texts, {
    description:
      "`on`: the server makes the coupons of the next two weeks by the plan, every hour; `off`: a scheduler of yours calls `fill_days()`, or nobody",
  }),
  WEBHOOKS: z.enum(["on", "off"]).default("on").register(texts, {
    description: "`on`: this server sends events to webhooks, if no other one does; `off`: it never does",
  }),
  WEBHOOKS_ALLOW_PRIVATE: z.enum(["on", "off"]).default("off").register(texts, {
    description:
      "`on`: webhooks may be `http://`, and at addresses that are not public, loopback and those of your own network among them; `off`: only `https://` at public addresses",
  }),
  RATE_LIMIT: whole(0, 1_000_000).prefault("100").register(texts, {
    description:
      "requests that one user may send to one server process at once. Each second a tenth of them is allowed again, so many in 10 s. Services and admins have no limit; 0 turns the limit off",
  }),
  METRICS_TOKEN: z
    .string()
    .regex(/^[!-~]{16,}$/, "must have at least 16 characters, visible ASCII")
    .optional()
    .register(texts, {
      description:
        "bearer token that `GET /metrics` requires, at least 16 characters: letters, digits and other visible ASCII",
      otherwise:
        "derived from the token secret: `./sd token --metrics` prints it. Without a secret: no `/metrics`",
      secret: true,
    }),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info").register(texts, {
    description:
      "`debug` logs every request. `info` logs requests that changed something, and at most 10 refusals or failures a second for each status, with a count of the others. `warn` logs failures, `error` only errors",
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: collectorAddress.optional().register(texts, {
    description:
      "collector that gets a span of each request that is sampled, by OTLP over HTTP in JSON: `http://collector.example:4318`",
    otherwise: "none: no span is made",
  }),
  OTEL_EXPORTER_OTLP_HEADERS: z.string().superRefine(readableBy(headersOf)).prefault("").register(texts, {
    description: "headers for the collector: `key=value,key=value`",
    otherwise: "none",
    secret: true,
  }),
  OTEL_SERVICE_NAME: z.string().min(1).optional().register(texts, {
    description: "`service.name` of the spans",
    otherwise: "that of `OTEL_RESOURCE_ATTRIBUTES`, or `coupon-drop`",
  }),
  OTEL_RESOURCE_ATTRIBUTES: z.string().superRefine(readableBy(pairsOf)).prefault("").register(texts, {
    description:
      "what else the spans say of this service: `deployment.environment.name=production,…`; a `service.version` in it counts, else it is the release",
    otherwise: "none",
  }),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS).default("parentbased_always_on").register(texts, {
    description:
      "which requests are exported: `always_on`, `always_off`, `traceidratio` (a part of all traces), and each with `parentbased_` in front, where the caller's `traceparent` decides if there is one",
  }),
  OTEL_TRACES_SAMPLER_ARG: z
    .string()
    .regex(/^(0(\.[0-9]+)?|1(\.0+)?)$/, "must be a number from 0 to 1")
    .transform(Number)
    .prefault("1")
    .register(texts, { description: "that part, from 0 to 1" }),
  JWT_SECRET: z.string().min(32, "must have at least 32 characters").optional().register(texts, {
    description: "secret that signs and verifies tokens (HS256), at least 32 characters",
    otherwise: "generated, unless a public key, a JWKS URL or `JWT_ISSUERS` is given",
    secret: true,
  }),
  JWT_PUBLIC_KEY: pem.optional().register(texts, {
    description:
      "public key that verifies tokens, in PEM (SPKI): RS256, PS256, ES256, EdDSA or Ed25519; instead of a secret",
  }),
  JWT_JWKS_URL: keyAddress.optional().register(texts, {
    description: "URL of the public keys that verify tokens (JWKS); instead of a secret or one public key",
  }),
  JWT_ISSUER: z
    .string()
    .min(1)
    .default("coupon-drop")
    .register(texts, { description: "`iss` that a token must have" }),
  JWT_AUDIENCE: z
    .string()
    .min(1)
    .default("coupon-drop")
    .register(texts, { description: "`aud` that a token must have" }),
  JWT_ISSUERS: z.string().superRefine(readableBy(readIssuers)).optional().register(texts, {
    description:
      "identity providers whose tokens are good too, and how they say who calls: a list in JSON, see server/README.md, Identity providers",
    otherwise: "none",
  }),
});

export type Env = z.infer<typeof schema>;

interface Variable extends Text {
  name: keyof Env;
  /** As a user would write it. */
  default: string | undefined;
}

/** The variables, in order. */
export const variables: readonly Variable[] = Object.entries(schema.shape).map(([name, field]) => ({
  name: name as keyof Env,
  ...(texts.get(field) as Text),
  default: z.toJSONSchema(field, { io: "input" }).default as string | undefined,
}));

/** A variable is given by its name, or by the path of a file that has its value, as orchestrators mount secrets. */
const fileOf = (name: string) => `${name}_FILE`;

/**
 * Reads and checks the environment. Throws an error with one sentence for each wrong variable. An empty variable counts as not
 * given, an empty file is an error, and a line break at the end is no part of a value. `file` is the text of the .env that Node was
 * started with: a name in it that we do not know is an error.
 */
export function readEnv(given: NodeJS.ProcessEnv = process.env, file = envFile()): Env {
  const wrong: string[] = [];
  const values: Record<string, string> = {};
  for (const { name } of variables) {
    try {
      const value = readValue(name, given)?.replace(/\r?\n$/, "");
      if (value) values[name] = value;
    } catch (error) {
      wrong.push((error as Error).message);
    }
  }
  const known = new Set(variables.flatMap(({ name }): string[] => [name, fileOf(name)]));
  const unknown = Object.keys(parseEnv(file))
    .filter((name) => !known.has(name))
    .sort();
  const parsed = schema.safeParse(values);
  if (parsed.success && unknown.length + wrong.length === 0) return parsed.data;
  const sentences = [
    ...unknown.map((name) =>
      name.startsWith("\ufeff")
        ? ".env begins with a byte order mark: save it without"
        : `.env: there is no variable ${name}, see .env.example`,
    ),
    ...wrong,
    ...(parsed.error?.issues ?? []).map((issue) => `${issue.path.join(".")}: ${issue.message}`),
  ];
  throw new Error(`the environment is wrong. ${sentences.join(". ")}`);
}

function readValue(name: string, given: NodeJS.ProcessEnv): string | undefined {
  const path = given[fileOf(name)];
  if (!path) return given[name];
  if (given[name]) throw new Error(`${name} and ${fileOf(name)} are both set: leave one of them`);
  const text = textOf(path, fileOf(name));
  // Whoever names a file means a value: without it a database of ours, or a secret, would silently take its place.
  if (text.trim() === "") throw new Error(`${fileOf(name)}: ${path} is empty`);
  return text;
}

/** Without a byte order mark, which Windows' editors and PowerShell write. */
function textOf(path: string, name: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new Error(`${name}: cannot read ${path} (${(error as { code?: string }).code})`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name}: ${path} is not UTF-8`);
  }
}

/** The environment with these variables instead of what it has by their names or by files. Undefined takes a variable away. */
export function withVariables(
  given: NodeJS.ProcessEnv,
  other: Partial<Record<keyof Env, string | undefined>>,
): NodeJS.ProcessEnv {
  const { ...changed } = given;
  for (const [name, value] of Object.entries(other)) {
    delete changed[name];
    delete changed[fileOf(name)];
    if (value !== undefined) changed[name] = value;
  }
  return changed;
}

/** Where a server that listens on HOST is found; an IPv6 address stands in brackets. */
export function urlOf({ HOST }: Pick<Env, "HOST">, port: number): string {
  return `http://${HOST.includes(":") ? `[${HOST}]` : HOST}:${port}`;
}

function envFile(): string {
  const path = process.execArgv.find((arg) => arg.startsWith("--env-file="))?.slice("--env-file=".length);
  return path === undefined ? "" : readFileSync(path, "utf8");
}

/** Each variable with its value, without secrets. */
export function shown(
  env: Env,
  given: NodeJS.ProcessEnv = process.env,
): { name: string; value: string; isGiven: boolean }[] {
  return variables.map(({ name, otherwise, secret }) => {
    const value = String(env[name] ?? "");
    const text = value === "" ? (otherwise ?? "none") : masked(value, secret);
    return { name, value: text, isGiven: Boolean(given[name] || given[fileOf(name)]) };
  });
}

/** Shows only the length of a secret, a URL without its passwords, one of the web without its query, and anything else on one line. */
function masked(text: string, secret = false): string {
  if (secret) return `set (${text.length} characters)`;
  return text
    .replace(/^(\w+:\/\/[^/?#]*?):[^/?#]*@/, "$1:***@")
    .replace(/(https?:\/\/[^\s"?#]*\?)[^\s"#]*/gi, "$1***")
    .replace(/([?&]\w*password=)[^&#]*/gi, "$1***")
    .replace(/\s+/g, " ");
}
