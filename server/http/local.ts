/** Whether a request comes from this machine itself. */
import type { IncomingMessage } from "node:http";
import { headerOf } from "./headers.ts";

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;
/** What a proxy adds: it may be on this machine when its client is not. */
const PROXIED = ["forwarded", "x-forwarded-for", "via", "x-real-ip"];

/** By the connection, and only when no proxy stands between; without a connection (a test that calls the app itself) never. */
export function isLocal(incoming: Pick<IncomingMessage, "rawHeaders" | "socket"> | undefined): boolean {
  return (
    incoming !== undefined &&
    LOOPBACK.test(incoming.socket.remoteAddress ?? "") &&
    !PROXIED.some((name) => headerOf(incoming.rawHeaders, name) !== undefined)
  );
}
