/** ./sd start: sets up, then becomes server/main.ts; or stays beside it, to stop the embedded PostgreSQL after it. */
import { randomBytes } from "node:crypto";
import { checkAddress, localUrl } from "../address.ts";
import { madeTokenSecret, secretOfThisMachine, signedElsewhereBy } from "../auth/secret.ts";
import { type Env, withVariables } from "../env.ts";
import { TYPESCRIPT } from "../typescript.ts";
import { withDatabase } from "./database.ts";
import { say } from "./print.ts";
import { prepare, suggest } from "./setup.ts";
import { becomes, exitOf } from "./signals.ts";

export async function start(given: Env): Promise<number> {
  // Before anything is set up, and said of an address where somebody else answers. Of PORT=0, links and examples say the port that it is.
  const env = { ...given, PORT: await checkAddress(given) };
  if (env.API_DATABASE_URL && !env.DATABASE_URL) {
    say("API_DATABASE_URL without DATABASE_URL: set-up is done elsewhere, serving only");
    return serve(env, env.API_DATABASE_URL, becomes);
  }
  return withDatabase(env, async (target, isEmbedded) => {
    if (isEmbedded)
      say(
        "embedded PostgreSQL, on loopback: for trying out, developing and testing. Production: DATABASE_URL",
      );
    const { onlyServes, keptBy, barred, isDemo } = await prepare(env, target);
    if (onlyServes !== undefined) say(`  ${onlyServes}`);
    if (keptBy !== undefined && !env.API_DATABASE_URL)
      throw new Error(
        `the server can't log in: coupon_api has the password that ${keptBy} gave it. Give DATABASE_URL as that login, ` +
          "or API_DATABASE_URL, or take the logins over by ./sd migrate --new-passwords",
      );
    if (barred !== undefined && !env.API_DATABASE_URL)
      throw new Error(
        `the server can't log in: ${barred}. Let pg_hba.conf accept coupon_api by a password, and give DATABASE_URL with one, from which it is ` +
          "derived; or give coupon_api a password of your own, and API_DATABASE_URL with it",
      );
    await suggest(env, target);
    const apiUrl = env.API_DATABASE_URL ?? target.as("coupon_api").url;
    return serve(env, apiUrl, isEmbedded ? exitOf : becomes, isEmbedded && isDemo);
  });
}

/** `isDemo`: whether it serves the embedded database, and set-up filled that. */
async function serve(env: Env, apiUrl: string, run: typeof becomes, isDemo = false): Promise<number> {
  const secret = secretOfThisMachine(env);
  if (secret !== undefined) say(secret);
  const key = demoKeyOf(env, isDemo);
  if (key !== undefined && env.DEMO === undefined)
    say(
      `to try it in a browser as any user or operator, open this link. It is valid until the server ends; keep it to yourself:\n\n` +
        `  ${localUrl(env)}/#demo=${key}\n`,
    );
  const variables = await serverEnvironment(env, apiUrl, key);
  return run(process.execPath, [...TYPESCRIPT, "server/main.ts"], {
    env: variables,
    called: "the server",
    channel: true,
  });
}

/**
 * DEMO_KEY, or a new key for the demo's own database. A token secret of somebody's own is a sign of a real service: there, and with
 * any other database, demo tokens must be asked for by DEMO or DEMO_KEY.
 */
export function demoKeyOf(env: Env, isDemo: boolean): string | undefined {
  const isAsked = env.DEMO !== undefined || env.DEMO_KEY !== undefined;
  const isReal = env.JWT_SECRET || signedElsewhereBy(env);
  return isDemo && !isAsked && !isReal ? randomBytes(32).toString("base64url") : env.DEMO_KEY;
}

/** What the server is given: its own login, and never the set-up's. */
async function serverEnvironment(
  env: Env,
  apiUrl: string,
  demoKey: string | undefined,
): Promise<NodeJS.ProcessEnv> {
  const secret = signedElsewhereBy(env) ? {} : { JWT_SECRET: await madeTokenSecret(env) };
  return withVariables(process.env, {
    DATABASE_URL: undefined,
    API_DATABASE_URL: apiUrl,
    PORT: String(env.PORT),
    ...secret,
    ...(demoKey ? { DEMO_KEY: demoKey } : {}),
  });
}
