/** What ./sd token prints: bearer tokens by the secret that set-up generated, or the token of /metrics. */
import { randomUUID } from "node:crypto";
import { type Role, SCOPES } from "../api/caller.ts";
import { signToken } from "../auth/auth.ts";
import { metricsTokenOf, signedElsewhere, signedElsewhereBy, tokenSecret } from "../auth/secret.ts";
import type { Env } from "../env.ts";

const USAGE =
  "usage: ./sd token --user N | --users A-B | --service | --admin | --metrics\n" +
  '       ./sd token (--service [--scope "issue read use"] | --admin) --name NAME [--days N]\n' +
  "       ./sd token --till NAME [--days N]";

const DAY_S = 86_400;

/** The lines for these arguments. Throws what the user is to read when they are wrong, or when nothing is signed here. */
export async function tokens(env: Env, args: string[]): Promise<string[]> {
  return args.join(" ") === "--metrics" ? [await metricsToken(env)] : await bearerTokens(env, args);
}

async function metricsToken(env: Env): Promise<string> {
  if (env.METRICS_TOKEN) return env.METRICS_TOKEN;
  const elsewhere = signedElsewhereBy(env);
  if (elsewhere)
    throw new Error(`there is no /metrics: ${elsewhere} is set, and neither METRICS_TOKEN nor JWT_SECRET`);
  return metricsTokenOf({ ...env, JWT_SECRET: await tokenSecret(env) }) as string;
}

async function bearerTokens(env: Env, args: string[]): Promise<string[]> {
  const elsewhere = signedElsewhereBy(env);
  if (elsewhere) throw new Error(signedElsewhere(elsewhere));
  if (args[0] === "--till" || KEY_OPTIONS.some((option) => args.includes(option)))
    return [await keyOf(env, readKey(args))];
  const callers = readArguments(args);
  const secret = await tokenSecret(env);
  return callers.map((who) => signToken(secret, env, who));
}

interface AskedKey {
  role: "service" | "admin";
  scope: string | undefined;
  name: string;
  days: number;
}

const KEY_OPTIONS = ["--scope", "--name", "--days"];

/** It is recorded first: a key that nobody sees in the list, and so could not revoke, is never handed out. */
async function keyOf(env: Env, { role, scope, name, days }: AskedKey): Promise<string> {
  const secret = await tokenSecret(env);
  const exp = Math.floor(Date.now() / 1000) + days * DAY_S;
  const limit = scope === undefined ? {} : { scope };
  const id = randomUUID();
  const { recordKey } = await import("./keys.ts");
  await recordKey(env, { id, name, scope: scope ?? null, expires: exp });
  return signToken(secret, env, { role, subject: name, key_id: id, exp, ...limit });
}

function readKey([flag = "", ...rest]: string[]): AskedKey {
  const more = flag === "--till" ? ["--scope", "use", "--name", ...rest] : rest;
  const given = new Map<string, string>();
  for (let i = 0; i < more.length; i += 2) {
    const [option = "", value] = more.slice(i);
    if (!KEY_OPTIONS.includes(option) || value === undefined || given.has(option)) throw new Error(USAGE);
    given.set(option, value);
  }
  const [scope, name, days = "1"] = [given.get("--scope"), given.get("--name"), given.get("--days")];
  if (!["--service", "--till", "--admin"].includes(flag) || (flag === "--admin" && scope !== undefined))
    throw new Error(USAGE);
  const words = scope?.split(" ") ?? [];
  if (!words.every((word) => SCOPES.some((one) => one === word)) || new Set(words).size < words.length)
    throw new Error(`a scope has words of ${SCOPES.join(", ")}, each once`);
  if (name === undefined)
    throw new Error("a key needs a --name: it is recorded under it, so that it can be listed and revoked");
  if (!/^[\p{L}\p{N}][\p{L}\p{N} .:_-]{0,99}$/u.test(name))
    throw new Error(
      "a key's name begins with a letter or a digit, and has letters, digits, spaces, and . : _ -, 100 at most",
    );
  if (!/^[1-9]\d{0,2}$/.test(days) || Number(days) > 366) throw new Error("--days is 1 to 366");
  return { role: flag === "--admin" ? "admin" : "service", scope, name, days: Number(days) };
}

function readArguments([flag, value, ...more]: string[]): {
  role: Role;
  subject: string;
}[] {
  if (more.length > 0) throw new Error(USAGE);
  if ((flag === "--service" || flag === "--admin") && value === undefined) {
    const role = flag === "--service" ? "service" : "admin";
    return [{ role, subject: role }];
  }
  const [, first, last = first] =
    value?.match(flag === "--users" ? /^(\d{1,16})-(\d{1,16})$/ : /^(\d{1,16})$/) ?? [];
  if ((flag !== "--user" && flag !== "--users") || first === undefined) throw new Error(USAGE);
  const [from, to] = [Number(first), Number(last)];
  if (from < 1 || to < from || !Number.isSafeInteger(to))
    throw new Error("users go from 1 on, and A-B upwards");
  if (to - from >= 1_000_000) throw new Error("at most 1000000 tokens at once");
  return Array.from({ length: to - from + 1 }, (_, i) => ({ role: "user", subject: String(from + i) }));
}
