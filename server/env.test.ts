import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { readEnv } from "./env.ts";

const defaults = {
  PORT: 3000,
  WORKERS: 1,
  HOST: "0.0.0.0",
  DATA_DIR: resolve(".data"),
  SEED: "demo",
  LOG_LEVEL: "info",
  JWT_ISSUER: "coupon-drop",
  JWT_AUDIENCE: "coupon-drop",
};

test("defaults", () => assert.deepEqual(readEnv({}), defaults));

test("empty is not given, and others' variables are not ours", () =>
  assert.deepEqual(readEnv({ PORT: "", JWT_SECRET: "", DATABASE_URL: "", HOME: "/x" }), defaults));

test("all given", () => {
  const given = {
    HOST: "::1",
    DATABASE_URL: "postgres://a:b@example.org/c?sslmode=require",
    API_DATABASE_URL: "postgresql://localhost/c",
    SEED: "off",
    LOG_LEVEL: "debug",
    METRICS_TOKEN: "s".repeat(16),
    JWT_SECRET: "s".repeat(32),
    JWT_PUBLIC_KEY: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    JWT_JWKS_URL: "https://example.org/jwks.json",
    JWT_ISSUER: "i",
    JWT_AUDIENCE: "a",
  };
  assert.deepEqual(readEnv({ ...given, PORT: "0", WORKERS: "64", DATA_DIR: "x/../y" }), {
    ...given,
    PORT: 0,
    WORKERS: 64,
    DATA_DIR: resolve("y"),
  });
});

for (const [name, value, why] of [
  ["WORKERS", "0", "must be a whole number from 1 to 64"],
  ["WORKERS", "65", "must be a whole number from 1 to 64"],
  ["WORKERS", "two", "must be a whole number from 1 to 64"],
  ["PORT", "http", "must be a whole number from 0 to 65535"],
  ["PORT", "80.5", "must be a whole number from 0 to 65535"],
  ["PORT", "-1", "must be a whole number from 0 to 65535"],
  ["PORT", " ", "must be a whole number from 0 to 65535"],
  ["PORT", "65536", "must be a whole number from 0 to 65535"],
  ["DATABASE_URL", "mysql://localhost/c", "must begin with postgres://"],
  ["API_DATABASE_URL", "postgres://[", "must be a URL: postgres://login:password@host:5432/database"],
  ["SEED", "on", 'Invalid option: expected one of "demo"|"off"'],
  ["LOG_LEVEL", "INFO", 'Invalid option: expected one of "debug"|"info"|"warn"|"error"'],
  ["METRICS_TOKEN", "s".repeat(15), "must have at least 16 characters, visible ASCII"],
  ["METRICS_TOKEN", `${"s".repeat(16)} s`, "must have at least 16 characters, visible ASCII"],
  ["JWT_SECRET", "s".repeat(31), "must have at least 32 characters"],
  ["JWT_PUBLIC_KEY", "/etc/key.pem", 'Invalid string: must start with "-----BEGIN PUBLIC KEY-----"'],
  ["JWT_JWKS_URL", "example.org", "Invalid URL"],
] as const)
  test(`${name}: wrong`, () =>
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
