/** Tokens for whoever tries the service out, so that its page works at once: anybody may be anybody. Never for a real service. */
import type { IncomingMessage } from "node:http";
import type { Role } from "../api/caller.ts";
import type { Env } from "../env.ts";
import { headerOf } from "../http/headers.ts";
import { isLocal } from "../http/local.ts";
import { signToken } from "./auth.ts";

type Incoming = Pick<IncomingMessage, "rawHeaders" | "socket">;

/** What makes a token for a caller; undefined where whoever asks is not one to hand tokens to. */
export type DemoToken = (
  incoming: Incoming | undefined,
) => ((who: { role: Role; subject: string }) => string) | undefined;

/** Names that only this machine answers to: a page of elsewhere whose name was pointed at us sends its own. */
const LOOPBACK_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i;

export function createDemo(env: Pick<Env, "DEMO" | "JWT_SECRET" | "JWT_ISSUER" | "JWT_AUDIENCE">): DemoToken {
  const { DEMO: mode = "off", JWT_SECRET: secret } = env;
  if (mode === "off" || secret === undefined) return () => undefined;
  const sign: ReturnType<DemoToken> = (who) => signToken(secret, env, who);
  return (incoming) => (mode === "on" || (isLocal(incoming) && isOwnPage(incoming)) ? sign : undefined);
}

/** Whether the request names this machine, and comes from no other site's page. */
function isOwnPage(incoming: Incoming | undefined): boolean {
  const host = headerOf(incoming?.rawHeaders ?? [], "host") ?? "";
  const origin = headerOf(incoming?.rawHeaders ?? [], "origin");
  return LOOPBACK_HOST.test(host) && (origin === undefined || origin === `http://${host}`);
}
