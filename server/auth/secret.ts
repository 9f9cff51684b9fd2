/** The secret that signs and verifies bearer tokens, if no other key is given, and the metrics token. */
import { createHmac, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory } from "../../db/embedded/files.ts";
import type { Env } from "../env.ts";

/** JWT_SECRET, or the one that set-up made in DATA_DIR. Whoever only signs makes none: no server would take what it signs. */
export async function tokenSecret(env: Env): Promise<string> {
  if (env.JWT_SECRET) return env.JWT_SECRET;
  const path = pathOf(env);
  const text = await readFile(path, "utf8").catch((error: { code?: string }) => {
    if (error.code !== "ENOENT") throw error;
    throw new Error(
      `there is no ${path} to sign with: ./sd start makes it. Was the server started with another DATA_DIR or JWT_SECRET? Give it here too`,
    );
  });
  const secret = text.trim();
  if (secret.length < 32)
    throw new Error(`${path} has no secret of 32 characters: delete it, and ./sd start makes another one`);
  return secret;
}

/** The same for what sets up: where there is none, 256 random bits that only this user can read. */
export async function madeTokenSecret(env: Env): Promise<string> {
  const path = pathOf(env);
  if (!env.JWT_SECRET && !existsSync(path)) {
    await makeDirectory(env.DATA_DIR);
    // Written to another file first, so that nobody reads half of it. If two processes do this, the first link wins.
    const aside = `${path}.${randomBytes(6).toString("hex")}`;
    try {
      await writeFile(aside, randomBytes(32).toString("hex"), { mode: 0o600, flush: true });
      await link(aside, path).catch((error: { code?: string }) => {
        if (error.code !== "EEXIST") throw error;
      });
    } finally {
      await rm(aside, { force: true });
    }
  }
  return tokenSecret(env);
}

const pathOf = (env: Env) => join(env.DATA_DIR, "token.secret");

/** What to say where a database may have other servers, which do not know the secret that was generated here. */
export function secretOfThisMachine(env: Env): string | undefined {
  if (env.JWT_SECRET || signedElsewhereBy(env) || !(env.DATABASE_URL ?? env.API_DATABASE_URL))
    return undefined;
  return `tokens are signed with ${pathOf(env)}: other servers of this database need it as JWT_SECRET`;
}

/** The variable by which others sign tokens, so that set-up generates no secret; undefined if tokens are signed here. */
export function signedElsewhereBy(env: Env): keyof Env | undefined {
  const others = ["JWT_PUBLIC_KEY", "JWT_JWKS_URL", "JWT_ISSUERS"] as const;
  return env.JWT_SECRET ? undefined : others.find((name) => env[name]);
}

/** Why no token is printed where this variable is set, and what to do about it. */
export const signedElsewhere = (name: keyof Env): string =>
  `tokens are signed elsewhere: ${name} is set, and no JWT_SECRET; set one to keep the tokens of ./sd`;

/**
 * METRICS_TOKEN, or a token that all servers with this secret have in common. What a bearer token's signature is made of has a dot,
 * so that neither can be the other.
 */
export function metricsTokenOf({
  METRICS_TOKEN: token,
  JWT_SECRET: secret,
}: Pick<Env, "METRICS_TOKEN" | "JWT_SECRET">): string | undefined {
  if (token !== undefined || secret === undefined) return token;
  return createHmac("sha256", secret).update("metrics").digest("hex");
}
