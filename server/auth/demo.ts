/** Demo tokens of any user or admin, so that the page works at once. Never for a real service. */
import type { Role } from "../api/caller.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Env } from "../env.ts";
import { isBearerOf } from "../http/headers.ts";
import { signToken } from "./auth.ts";

/** Returns a function that signs tokens, or undefined if a request with this Authorization header may not have one. */
export type DemoToken = (
  authorization: string | undefined,
) => ((who: { role: Role; subject: string }) => string) | undefined;

/**
 * Who has DEMO_KEY may have tokens, and with DEMO=on everybody. Nothing that a proxy or another site's page can bring along counts:
 * no address, no Host and no Origin.
 */
export function createDemo(
  env: Pick<Env, "DEMO" | "DEMO_KEY" | "JWT_SECRET" | "JWT_ISSUER" | "JWT_AUDIENCE">,
  clock: Pick<Clock, "wall"> = systemClock,
): DemoToken {
  const { DEMO: mode, DEMO_KEY: key, JWT_SECRET: secret } = env;
  if (mode === "off" || secret === undefined) return () => undefined;
  const sign: ReturnType<DemoToken> = (who) => signToken(secret, env, who, clock);
  if (mode === "on") return () => sign;
  return (authorization) => (key !== undefined && isBearerOf(authorization, key) ? sign : undefined);
}
