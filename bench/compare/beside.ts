/** What stands beside the working tree while it is fired at: a webhook whose receiver hangs, a reader of events who stands still. */
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Sql } from "../../db/connect.ts";
import { adminToken } from "../harness/tokens.ts";

/** Whom it stands beside. */
interface Server {
  owner: Sql;
  url: string;
}

/** What holds it up. It hangs or stands still once `isThere`, for which a coupon has to be made. */
export interface Beside {
  isThere: Promise<unknown>;
}

/** Is given what has to be done at the end. */
export type Later = (end: () => Promise<unknown>) => void;

/** Begins anew for each volley, whose tables are empty. */
type Begin = (server: Server, secret: string, later: Later) => Promise<Beside>;

/** By the names that --beside takes. */
export const BESIDE = { webhook: beginWebhook, feed: beginFeed } satisfies Record<string, Begin>;
export type BesideName = keyof typeof BESIDE;

/** The server looks for work once a second. */
const PATIENCE_MS = 30_000;

/** A receiver that takes the request and never answers. */
async function beginWebhook({ owner }: Server, _secret: string, later: Later): Promise<Beside> {
  const receiver = createServer((request) => void request.resume()).listen(0, "127.0.0.1");
  later(async () => {
    receiver.closeAllConnections();
    receiver.close();
    await once(receiver, "close");
  });
  await once(receiver, "listening");
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const isThere = once(receiver, "request", { signal: AbortSignal.timeout(PATIENCE_MS) });
  isThere.catch(() => {}); // until somebody waits for it
  await owner`select from public.set_webhook('hangs', ${url})`;
  return { isThere };
}

/** Reads of the stream that it has begun, and nothing more. */
async function beginFeed({ url }: Server, secret: string, later: Later): Promise<Beside> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {}); // the server leaves who stands still for long
  later(async () => {
    socket.destroy();
    if (!socket.closed) await once(socket, "close");
  });
  socket.write(
    `GET /events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminToken(secret)}\r\nAccept: text/event-stream\r\n\r\n`,
  );
  const isThere = once(socket, "readable", { signal: AbortSignal.timeout(PATIENCE_MS) }).then(() => {
    const head = String(socket.read()); // and no more from here on
    if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`no stream of events, but ${head}`);
  });
  isThere.catch(() => {});
  return { isThere };
}
