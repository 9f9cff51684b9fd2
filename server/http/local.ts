/** Whether a request comes from this machine itself. */
import type { IncomingMessage } from "node:http";
import { headerOf } from "./headers.ts";

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;
/** Headers that a proxy adds: the proxy may be on this machine when its client is not. */
const PROXIED = ["forwarded", "x-forwarded-for", "via", "x-real-ip"];

/** Judged by the connection, and false if a proxy forwarded the request. Without a connection (a test calls the app) it is false. */
export function isLocal(incoming: Pick<IncomingMessage, "rawHeaders" | "socket"> | undefined): boolean {
  return (
    incoming !== undefined &&
    LOOPBACK.test(incoming.socket.remoteAddress ?? "") &&
    !PROXIED.some((name) => headerOf(incoming.rawHeaders, name) !== undefined)
  );
}
