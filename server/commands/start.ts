/** ./sd start: sets up, then runs server/main.ts as a process of its own until it ends. */
import { tokenSecret } from "../auth/secret.ts";
import type { Env } from "../env.ts";
import { withDatabase } from "./database.ts";
import { say } from "./print.ts";
import { prepare, suggest } from "./setup.ts";
import { exitOf } from "./signals.ts";

export async function start(env: Env): Promise<number> {
  if (env.API_DATABASE_URL && !env.DATABASE_URL) {
    say("API_DATABASE_URL without DATABASE_URL: set-up is done elsewhere, serving only");
    return serve(env, env.API_DATABASE_URL);
  }
  return withDatabase(env, async (target, isEmbedded) => {
    if (isEmbedded)
      say(
        "embedded PostgreSQL, on loopback: for trying out, developing and testing. Production: DATABASE_URL",
      );
    await prepare(env, target);
    await suggest(env, target);
    return serve(env, env.API_DATABASE_URL ?? target.as("coupon_api").url);
  });
}

async function serve(env: Env, apiUrl: string): Promise<number> {
  const given = await serverEnvironment(env, apiUrl);
  return exitOf(process.execPath, ["--import", "tsx", "server/main.ts"], { env: given });
}

/** What the server is given: its own login, and never the set-up's. */
async function serverEnvironment(env: Env, apiUrl: string): Promise<NodeJS.ProcessEnv> {
  const { DATABASE_URL: _, ...rest } = process.env;
  const secret = env.JWT_PUBLIC_KEY || env.JWT_JWKS_URL ? {} : { JWT_SECRET: await tokenSecret(env) };
  // A secret of somebody's own is a sign of a real service: there demo tokens must be asked for by DEMO.
  const isDemo = env.SEED === "demo" && "JWT_SECRET" in secret && env.JWT_SECRET === undefined;
  const demo = { DEMO: env.DEMO ?? (isDemo ? "loopback" : "off") };
  return { ...rest, API_DATABASE_URL: apiUrl, ...secret, ...demo };
}
