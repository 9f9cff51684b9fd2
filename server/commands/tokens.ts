/** What ./sd token prints: bearer tokens by the secret that set-up generated, or the token of /metrics. */
import type { Role } from "../api/caller.ts";
import { signToken } from "../auth/auth.ts";
import { metricsTokenOf, signedElsewhereBy, tokenSecret } from "../auth/secret.ts";
import type { Env } from "../env.ts";

const USAGE = "usage: ./sd token --user N | --users A-B | --service | --till [NAME] | --admin | --metrics";

/** The lines for these arguments. Throws what the user is to read when they are wrong, or when nothing is signed here. */
export async function tokens(env: Env, args: string[]): Promise<string[]> {
  return args.join(" ") === "--metrics" ? [await metricsToken(env)] : await bearerTokens(env, args);
}

async function metricsToken(env: Env): Promise<string> {
  if (env.METRICS_TOKEN) return env.METRICS_TOKEN;
  const elsewhere = signedElsewhereBy(env);
  if (elsewhere) throw new Error(`there is no /metrics: ${elsewhere} is set, and METRICS_TOKEN is not`);
  return metricsTokenOf({ ...env, JWT_SECRET: await tokenSecret(env) }) as string;
}

async function bearerTokens(env: Env, args: string[]): Promise<string[]> {
  const elsewhere = signedElsewhereBy(env);
  if (elsewhere) throw new Error(`tokens are signed elsewhere: ${elsewhere} is set`);
  const callers = readArguments(args);
  const secret = await tokenSecret(env);
  return callers.map((who) => signToken(secret, env, who));
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
  if (flag === "--till") {
    if (value !== undefined && !/^[\w.:-]{1,100}$/.test(value))
      throw new Error("a till's name has letters, digits, and . : _ -");
    return [{ role: "till", subject: value ?? "till" }];
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
