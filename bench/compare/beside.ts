/** What stands beside the working tree while it is fired at: a webhook whose receiver hangs, a reader of events who stands still. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "../../db/connect.ts";
import { makeCoupon } from "../harness/coupons.ts";
import { hasProc } from "../harness/cpu.ts";
import { adminToken } from "../harness/tokens.ts";

/** Whom it stands beside. */
interface Server {
  owner: Sql;
  url: string;
}

/** Is given what has to be done at the end. */
export type Later = (end: () => Promise<unknown>) => void;

/** Begins anew for each volley, whose tables are empty. It hangs or stands still when the promise is kept. */
type Begin = (server: Server, secret: string, later: Later) => Promise<void>;

/** By the names that --beside takes. */
export const BESIDE = { webhook: beginWebhook, feed: beginFeed } satisfies Record<string, Begin>;
export type BesideName = keyof typeof BESIDE;

/** The server looks for work once a second. */
const PATIENCE_MS = 30_000;
/** Corrections of 8 KB: several times what the system takes for a reader who takes nothing. */
const CORRECTIONS = 2_000;
/** Who was written nothing for so long stands still. */
const STILL_MS = 1_000;

/** A receiver that takes the request and never answers. */
async function beginWebhook({ owner }: Server, _secret: string, later: Later): Promise<void> {
  const receiver = createServer((request) => void request.resume()).listen(0, "127.0.0.1");
  later(async () => {
    receiver.closeAllConnections();
    receiver.close();
    await once(receiver, "close");
  });
  await once(receiver, "listening");
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const hangs = once(receiver, "request", { signal: AbortSignal.timeout(PATIENCE_MS) });
  await owner`select from public.set_webhook('hangs', ${url})`;
  await makeCoupon(owner, { code: "HANGS", count: 1, from: "3 days", until: "4 days" });
  await hangs;
}

/** Reads of the stream that it has begun, and nothing more: there is more to tell than it is ever written. */
async function beginFeed({ owner, url }: Server, secret: string, later: Later): Promise<void> {
  const couponId = await makeCoupon(owner, { code: "STILL", count: 1, from: "5 days", until: "6 days" });
  await owner`
    select count(*)
    from generate_series(1, ${CORRECTIONS}::integer) n, lateral public.edit_coupon(
      ${couponId}::bigint, metadata => jsonb_build_object('text', repeat('x', 4000), 'n', n))
  `;
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {}); // the server leaves who stands still for long
  later(async () => {
    socket.destroy();
    if (!socket.closed) await once(socket, "close");
  });
  socket.write(
    `GET /events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminToken(secret)}\r\nAccept: text/event-stream\r\n\r\n`,
  );
  await once(socket, "readable", { signal: AbortSignal.timeout(PATIENCE_MS) });
  const head = String(socket.read()); // and no more from here on
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`no stream of events, but ${head}`);
  await standsStill(socket.localPort as number);
}

/**
 * Waits until the system holds no more bytes for this connection than a second ago, of which the server has written some that nobody has taken;
 * without /proc, a second.
 */
async function standsStill(port: number): Promise<void> {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const held = async () => {
    const connections = hasProc ? (await readFile("/proc/net/tcp", "utf8")).split("\n") : [];
    return connections
      .filter((line) => line.includes(end))
      .map((line) => line.trim().split(/\s+/)[4])
      .join();
  };
  const isHeld = (bytes: string) => !hasProc || /(^|,)(?!0+:)[0-9A-F]+:/.test(bytes);
  let before = await held();
  let since = performance.now();
  for (const deadline = since + PATIENCE_MS; performance.now() - since < STILL_MS || !isHeld(before); ) {
    if (performance.now() > deadline) throw new Error("the reader of events does not stand still");
    await sleep(100);
    const now = await held();
    if (now !== before) since = performance.now();
    before = now;
  }
}
