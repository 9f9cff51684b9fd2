/** Demo tokens of any user or admin, so that the page works at once. Never for a real service. */
import type { IncomingMessage } from "node:http";
import type { Role } from "../api/caller.ts";
import type { Env } from "../env.ts";
import { headerOf } from "../http/headers.ts";
import { isLocal } from "../http/local.ts";
import { signToken } from "./auth.ts";

type Incoming = Pick<IncomingMessage, "rawHeaders" | "socket">;

/** Returns a function that signs tokens, or undefined if this client may not have one. */
export type DemoToken = (
  incoming: Incoming | undefined,
) => ((who: { role: Role; subject: string }) => string) | undefined;

/** Host names that only this machine has. A foreign page whose name resolves to us (DNS rebinding) sends its own. */
const LOOPBACK_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i;

export function createDemo(env: Pick<Env, "DEMO" | "JWT_SECRET" | "JWT_ISSUER" | "JWT_AUDIENCE">): DemoToken {
  const { DEMO: mode = "off", JWT_SECRET: secret } = env;
  if (mode === "off" || secret === undefined) return () => undefined;
  const sign: ReturnType<DemoToken> = (who) => signToken(secret, env, who);
  return (incoming) => (mode === "on" || (isLocal(incoming) && isOwnPage(incoming)) ? sign : undefined);
}

/** Whether the Host header names this machine and the request does not come from a page of another site. */
function isOwnPage(incoming: Incoming | undefined): boolean {
  const host = headerOf(incoming?.rawHeaders ?? [], "host") ?? "";
  const origin = headerOf(incoming?.rawHeaders ?? [], "origin");
  return LOOPBACK_HOST.test(host) && (origin === undefined || origin === `http://${host}`);
}
