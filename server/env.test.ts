import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { checkBlock } from "../bench/harness/readme-blocks.ts";
import { temporaryDirectory } from "../bench/harness/temporary.ts";
import { readEnv, shown, urlOf, variables, withVariables } from "./env.ts";

const defaults = {
  PORT: 3000,
  WORKERS: 1,
  DRAIN_DELAY: 0,
  KEEP_ALIVE_TIMEOUT: 65,
  HOST: "0.0.0.0",
  DATA_DIR: resolve(".data"),
  CORS_ORIGINS: [],
  PUBLIC_OFFERS: "on",
  FILL_DAYS: "on",
  WEBHOOKS: "on",
  WEBHOOKS_ALLOW_PRIVATE: "off",
  RATE_LIMIT: 100,
  LOG_LEVEL: "info",
  OTEL_EXPORTER_OTLP_HEADERS: "",
  OTEL_RESOURCE_ATTRIBUTES: "",
  OTEL_TRACES_SAMPLER: "parentbased_always_on",
  OTEL_TRACES_SAMPLER_ARG: 1,
  JWT_ISSUER: "coupon-drop",
  JWT_AUDIENCE: "coupon-drop",
};

test("defaults", () => assert.deepEqual(readEnv({}), defaults));

test("empty is not given, and others' variables are not ours", () =>
  assert.deepEqual(readEnv({ PORT: "", JWT_SECRET: "", DATABASE_URL: "", HOME: "/x" }), defaults));

/** A file with this content. */
async function fileOf(t: TestContext, content: string | Buffer): Promise<string> {
  t.after(cleanUp);
  const path = join(await temporaryDirectory(), "value");
  writeFileSync(path, content);
  return path;
}

const values = {
  PORT: "4000",
  DATABASE_URL: "postgres://a:b@example.org/c",
  API_DATABASE_URL: "postgres://a:b@example.org/d",
  DEMO_KEY: "k".repeat(40),
  METRICS_TOKEN: "m".repeat(16),
  JWT_SECRET: "s".repeat(32),
  JWT_PUBLIC_KEY: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
  JWT_JWKS_URL: "https://example.org/jwks.json",
  JWT_ISSUERS: '[{"issuer": "https://id.example", "audience": "shop"}]',
};

for (const [name, value] of Object.entries(values))
  for (const [what, end, begin = ""] of [
    ["", ""],
    [", with a line break", "\n"],
    [", with Windows' line break and byte order mark", "\r\n", "\ufeff"],
  ] as const)
    test(`${name}_FILE${what}: its content, as if it were given by name`, async (t) => {
      const path = await fileOf(t, begin + value + end);
      assert.deepEqual(readEnv({ [`${name}_FILE`]: path }), readEnv({ [name]: value }));
      assert.deepEqual(
        readEnv({ [`${name}_FILE`]: path }, `${name}_FILE=${path}`),
        readEnv({ [name]: value }),
      );
      const row = shown(readEnv({ [`${name}_FILE`]: path }), { [`${name}_FILE`]: path }).find(
        (each) => each.name === name,
      );
      assert.equal(row?.isGiven, true);
    });

test("a line break at the end is no part of a value, and others are", () => {
  const secret = `${"s".repeat(20)} \n ${"s".repeat(20)}`;
  assert.equal(readEnv({ JWT_SECRET: `${secret}\n` }).JWT_SECRET, secret);
  assert.equal(readEnv({ JWT_SECRET: `${secret}\n\n` }).JWT_SECRET, `${secret}\n`);
  assert.throws(() => readEnv({ JWT_SECRET: `${"s".repeat(31)}\n` }), /JWT_SECRET: must have at least 32/);
});

test("a key in one line, as a file of variables has it for Docker", () => {
  const lines = ["-----BEGIN PUBLIC KEY-----", "MCow", "-----END PUBLIC KEY-----"];
  const { JWT_PUBLIC_KEY } = readEnv({ JWT_PUBLIC_KEY: lines.join("\\n") });
  assert.equal(JWT_PUBLIC_KEY, lines.join("\n"));
});

test("a file that cannot be read, and a value given twice, are a sentence each", async (t) => {
  const path = await fileOf(t, "s".repeat(32));
  const strange = await fileOf(t, Buffer.from(`\ufeff${"s".repeat(32)}`, "utf16le"));
  const wrong = (given: NodeJS.ProcessEnv, message: string) =>
    assert.throws(() => readEnv(given), { message: `the environment is wrong. ${message}` });
  wrong({ JWT_SECRET_FILE: "/nowhere/x" }, "JWT_SECRET_FILE: cannot read /nowhere/x (ENOENT)");
  wrong({ JWT_SECRET_FILE: strange }, `JWT_SECRET_FILE: ${strange} is not UTF-8`);
  wrong({ JWT_SECRET_FILE: "/" }, "JWT_SECRET_FILE: cannot read / (EISDIR)");
  wrong(
    { JWT_SECRET_FILE: path, JWT_SECRET: "s".repeat(32) },
    "JWT_SECRET and JWT_SECRET_FILE are both set: leave one of them",
  );
  wrong(
    { DATABASE_URL_FILE: "/nowhere/x", PORT: "x" },
    "DATABASE_URL_FILE: cannot read /nowhere/x (ENOENT). PORT: must be a whole number from 0 to 65535",
  );
  assert.equal(readEnv({ JWT_SECRET_FILE: "", JWT_SECRET: "s".repeat(32) }).JWT_SECRET, "s".repeat(32));
});

for (const content of ["", "\n", "\r\n"])
  for (const { name } of variables)
    test(`${name}_FILE: ${JSON.stringify(content)} is no value`, async (t) => {
      const path = await fileOf(t, content);
      assert.throws(() => readEnv({ [`${name}_FILE`]: path }), {
        message: `the environment is wrong. ${name}_FILE: ${path} is empty`,
      });
    });

test("what a child process is given instead counts, however it was given before", () => {
  const given = { HOME: "/x", DATABASE_URL_FILE: "/a", JWT_SECRET_FILE: "/b", API_DATABASE_URL: "c" };
  const other = { DATABASE_URL: undefined, JWT_SECRET: "d", API_DATABASE_URL: "e" };
  assert.deepEqual(withVariables(given, other), { HOME: "/x", JWT_SECRET: "d", API_DATABASE_URL: "e" });
  assert.equal(given.JWT_SECRET_FILE, "/b");
});

test("the URL of a server, also of one that listens on IPv6", () => {
  const url = (HOST: string) => urlOf({ HOST }, 3000);
  assert.deepEqual(["0.0.0.0", "localhost", "::", "::1"].map(url), [
    "http://0.0.0.0:3000",
    "http://localhost:3000",
    "http://[::]:3000",
    "http://[::1]:3000",
  ]);
});

test("all given", () => {
  const given = {
    HOST: "::1",
    DATABASE_URL: "postgres://a:b@example.org/c?sslmode=require",
    API_DATABASE_URL: "postgresql://localhost/c",
    SEED: "off",
    LOG_LEVEL: "debug",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector.example:4318",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x",
    OTEL_SERVICE_NAME: "shop",
    OTEL_RESOURCE_ATTRIBUTES: "a=b,c=d",
    OTEL_TRACES_SAMPLER: "traceidratio",
    DEMO: "on",
    DEMO_KEY: "AZaz09_.~-".repeat(4),
    METRICS_TOKEN: "s".repeat(16),
    JWT_SECRET: "s".repeat(32),
    JWT_PUBLIC_KEY: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    JWT_JWKS_URL: "https://example.org/jwks.json",
    JWT_ISSUER: "i",
    JWT_AUDIENCE: "a",
    JWT_ISSUERS: '[{"issuer": "https://id.example", "audience": "shop"}]',
  };
  const origins = "https://shop.example, http://localhost:5173,capacitor://localhost";
  assert.deepEqual(
    readEnv({
      ...given,
      ...{ PORT: "0", WORKERS: "64", DATA_DIR: "x/../y", CORS_ORIGINS: origins },
      OTEL_TRACES_SAMPLER_ARG: "0.25",
    }),
    {
      ...given,
      PORT: 0,
      WORKERS: 64,
      CORS_ORIGINS: ["https://shop.example", "http://localhost:5173", "capacitor://localhost"],
      PUBLIC_OFFERS: "on",
      FILL_DAYS: "on",
      WEBHOOKS: "on",
      WEBHOOKS_ALLOW_PRIVATE: "off",
      RATE_LIMIT: 100,
      DRAIN_DELAY: 0,
      KEEP_ALIVE_TIMEOUT: 65,
      DATA_DIR: resolve("y"),
      OTEL_TRACES_SAMPLER_ARG: 0.25,
    },
  );
});

const PERCENT =
  "a % must be written as %25, unless it begins an encoded character: two hex digits for each byte of its UTF-8, not %00";
const COLLECTOR =
  "must be a URL like http://collector.example:4318, without ? and #; a name, a password or a key go into OTEL_EXPORTER_OTLP_HEADERS";
const HEADERS =
  "keys must be names of headers, and values have no line break and no character beyond Latin-1";

for (const [name, value, why] of [
  ["WORKERS", "0", "must be a whole number from 1 to 64"],
  ["WORKERS", "65", "must be a whole number from 1 to 64"],
  ["WORKERS", "two", "must be a whole number from 1 to 64"],
  ["DRAIN_DELAY", "-1", "must be a whole number from 0 to 600"],
  ["KEEP_ALIVE_TIMEOUT", "0", "must be a whole number from 1 to 3600"],
  ["PORT", "http", "must be a whole number from 0 to 65535"],
  ["PORT", "80.5", "must be a whole number from 0 to 65535"],
  ["PORT", "-1", "must be a whole number from 0 to 65535"],
  ["PORT", " ", "must be a whole number from 0 to 65535"],
  ["PORT", "65536", "must be a whole number from 0 to 65535"],
  ["DATABASE_URL", "mysql://localhost/c", "must begin with postgres://"],
  [
    "API_DATABASE_URL",
    "postgres://[",
    "host and port must be such as db.example:5432, [::1]:5432 or %2Frun%2Fpostgresql; several are separated by commas",
  ],
  ["READ_DATABASE_URL", "mysql://localhost/c", "must begin with postgres://"],
  [
    "READ_DATABASE_URL",
    "postgres://a,b/?target_session_attrs=primary",
    "target_session_attrs=primary: it is for standbys: leave it out, or say standby",
  ],
  ["DATABASE_URL", "postgres://shop:sh%op1@localhost/c", PERCENT],
  ["DATABASE_URL", "postgres://sh%op:p@localhost/c", PERCENT],
  ["DATABASE_URL", "postgres://shop:p@local%host/c", PERCENT],
  ["DATABASE_URL", "postgres://shop:p@localhost/100%", PERCENT],
  ["DATABASE_URL", "postgres://shop:p@localhost/c%E9", PERCENT],
  ["DATABASE_URL", "postgres://shop:p@localhost/c%00d", PERCENT],
  ["API_DATABASE_URL", "postgres://shop:p@localhost/c?application_name=100%", PERCENT],
  ["DATABASE_URL", "postgres://shop:p@localhost/c#1", "a # must be written as %23"],
  ["API_DATABASE_URL", "postgres://shop:12#3@localhost/c", "a # must be written as %23"],
  ["SEED", "on", 'Invalid option: expected one of "demo"|"off"'],
  ["DEMO", "loopback", 'Invalid option: expected one of "on"|"off"'],
  ["DEMO_KEY", "k".repeat(31), "must have at least 32 characters: letters, digits, - . _ ~"],
  ["DEMO_KEY", `#${"k".repeat(32)}`, "must have at least 32 characters: letters, digits, - . _ ~"],
  ["CORS_ORIGINS", "*", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "https://shop.example/", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "shop.example", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "https://shop.example:443", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "https://name@shop.example", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "null", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "file://", "must be origins like https://shop.example"],
  ["CORS_ORIGINS", "capacitor://localhost/", "must be origins like https://shop.example"],
  ["LOG_LEVEL", "INFO", 'Invalid option: expected one of "debug"|"info"|"warn"|"error"'],
  ["METRICS_TOKEN", "s".repeat(15), "must have at least 16 characters, visible ASCII"],
  ["METRICS_TOKEN", `${"s".repeat(16)} s`, "must have at least 16 characters, visible ASCII"],
  ...["collector:4318", "file:///x", "http://u:p@h:4318", "http://u@h", "https://h/?k=p", "https://h/#p"].map(
    (url) => ["OTEL_EXPORTER_OTLP_ENDPOINT", url, COLLECTOR] as const,
  ),
  ...["x-key=sec%0Aret", "x(key=secret", "x-key=%C5%82"].map(
    (pairs) => ["OTEL_EXPORTER_OTLP_HEADERS", pairs, HEADERS] as const,
  ),
  ["OTEL_EXPORTER_OTLP_HEADERS", "a", "must be key=value,key=value"],
  ["OTEL_RESOURCE_ATTRIBUTES", "a=%zz", "values must be percent-encoded"],
  ["OTEL_TRACES_SAMPLER_ARG", "1.1", "must be a number from 0 to 1"],
  ["JWT_SECRET", "s".repeat(31), "must have at least 32 characters"],
  ["JWT_PUBLIC_KEY", "/etc/key.pem", 'Invalid string: must start with "-----BEGIN PUBLIC KEY-----"'],
  ...["example.org", "file:///etc/keys", "https://u:p@h/keys", "https://u@h/keys", "https:// /"].map(
    (url) =>
      ["JWT_JWKS_URL", url, "must be a URL of http or https, without a name or a password in it"] as const,
  ),
] as const)
  test(`${name}: wrong: ${value}`, () =>
    assert.throws(() => readEnv({ [name]: value }), {
      message: `the environment is wrong. ${name}: ${why}`,
    }));

test("two that are wrong are both named", () =>
  assert.throws(() => readEnv({ PORT: "-1", SEED: "on" }), {
    message:
      "the environment is wrong. PORT: must be a whole number from 0 to 65535. " +
      'SEED: Invalid option: expected one of "demo"|"off"',
  }));

test("a secret is never in the message", () =>
  assert.throws(
    () => readEnv({ JWT_SECRET: "hush", DATABASE_URL: "pg://a:hush@b/c" }),
    (error: Error) => !error.message.includes("hush"),
  ));

test(".env: our names only, and as wrong values as elsewhere", () => {
  assert.deepEqual(
    readEnv({}, "# a note\n\nPORT=1\nJWT_SECRET=''\n"),
    defaults,
    "Node has put them into the environment",
  );
  assert.throws(() => readEnv({ PORT: "x" }, "WORKER=2\nPORT=x\nexport SEEDS=off\n"), {
    message:
      "the environment is wrong. .env: there is no variable SEEDS, see .env.example. " +
      ".env: there is no variable WORKER, see .env.example. PORT: must be a whole number from 0 to 65535",
  });
});

test(".env with a byte order mark, as editors of Windows write it: said by its name", () =>
  assert.throws(() => readEnv({}, "\ufeffPORT=4001\n"), {
    message: "the environment is wrong. .env begins with a byte order mark: save it without",
  }));

test("shown: no secret, and whether it was given", () => {
  const given = {
    DATABASE_URL: "postgres://a:b:c@example.org:5432/d?sslmode=require&sslpassword=hush&application_name=x",
    API_DATABASE_URL: "postgres://coupon_api@example.org/d",
    JWT_SECRET: "s".repeat(64),
    JWT_PUBLIC_KEY: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    JWT_JWKS_URL: "https://example.org/jwks.json?code=hush",
    JWT_ISSUERS: '[{"issuer":"a","audience":"b","user_id":"c","jwks":"https://a.example/?code=hush"}]',
    OTEL_EXPORTER_OTLP_HEADERS: "k=hush",
    WORKERS: "4",
    SEED: "",
    DEMO_KEY: "k".repeat(32),
  };
  const lines = Object.fromEntries(
    shown(readEnv(given), given).map(({ name, value, isGiven }) => [name, [value, isGiven]]),
  );
  assert.deepEqual(lines, {
    PORT: ["3000", false],
    HOST: ["0.0.0.0", false],
    WORKERS: ["4", true],
    DRAIN_DELAY: ["0", false],
    KEEP_ALIVE_TIMEOUT: ["65", false],
    DATA_DIR: [resolve(".data"), false],
    DATABASE_URL: [
      "postgres://a:***@example.org:5432/d?sslmode=require&sslpassword=***&application_name=x",
      true,
    ],
    API_DATABASE_URL: ["postgres://coupon_api@example.org/d", true],
    READ_DATABASE_URL: ["all is read from the primary", false],
    SEED: ["demo on the embedded PostgreSQL, off with `DATABASE_URL` or `API_DATABASE_URL`", false],
    DEMO: ["who has `DEMO_KEY`; nobody if there is none", false],
    DEMO_KEY: ["set (32 characters)", true],
    CORS_ORIGINS: ["none", false],
    PUBLIC_OFFERS: ["on", false],
    FILL_DAYS: ["on", false],
    WEBHOOKS: ["on", false],
    WEBHOOKS_ALLOW_PRIVATE: ["off", false],
    RATE_LIMIT: ["100", false],
    METRICS_TOKEN: [
      "derived from the token secret: `./sd token --metrics` prints it. Without a secret: no `/metrics`",
      false,
    ],
    LOG_LEVEL: ["info", false],
    OTEL_EXPORTER_OTLP_ENDPOINT: ["none: no span is made", false],
    OTEL_EXPORTER_OTLP_HEADERS: ["set (6 characters)", true],
    OTEL_SERVICE_NAME: ["that of `OTEL_RESOURCE_ATTRIBUTES`, or `coupon-drop`", false],
    OTEL_RESOURCE_ATTRIBUTES: ["none", false],
    OTEL_TRACES_SAMPLER: ["parentbased_always_on", false],
    OTEL_TRACES_SAMPLER_ARG: ["1", false],
    JWT_SECRET: ["set (64 characters)", true],
    JWT_PUBLIC_KEY: ["-----BEGIN PUBLIC KEY----- AAAA -----END PUBLIC KEY-----", true],
    JWT_JWKS_URL: ["https://example.org/jwks.json?***", true],
    JWT_ISSUER: ["coupon-drop", false],
    JWT_AUDIENCE: ["coupon-drop", false],
    JWT_ISSUERS: ['[{"issuer":"a","audience":"b","user_id":"c","jwks":"https://a.example/?***"}]', true],
  });
});

// ---- .env.example and the table in server/README.md, which follow the texts ------------------------------------------

const HEAD = `# Settings of ./sd. Copy this file to .env and uncomment what you set. The environment overrides it.
`;

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

test(".env.example has every variable, with its default", () => {
  const entries = variables.map(
    ({ name, description, default: value, otherwise }) =>
      `\n# ${sentence(description)}.${otherwise ? ` Default: ${otherwise}.` : ""}\n#${name}=${value ?? ""}\n`,
  );
  const path = new URL("../.env.example", import.meta.url);
  const expected = HEAD + entries.join("");
  if (process.env["UPDATE_README"]) writeFileSync(path, expected);
  else assert.equal(readFileSync(path, "utf8"), expected, "write it with UPDATE_README=1");
});

test("the table of settings in server/README.md", () => {
  const rows = variables.map(
    ({ name, description, default: value, otherwise }) =>
      `| \`${name}\` | ${description} | ${value ? `\`${value}\`` : (otherwise ?? "")} |\n`,
  );
  const head = "| variable | meaning | default |\n| --- | --- | --- |\n";
  checkBlock(new URL("README.md", import.meta.url), "settings", head + rows.join(""));
});
