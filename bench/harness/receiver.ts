/** A receiver of webhooks on loopback: it verifies as the reference library does, and answers as a test says. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

export interface Received {
  id: string;
  type: string;
  coupon_id: number | null;
  headers: IncomingMessage["headers"];
  body: ReturnType<typeof JSON.parse>;
}

type Respond = (event: Received, response: ServerResponse) => void;

export async function openReceiver(respond: Respond = (_, response) => void response.writeHead(204).end()) {
  const received: Received[] = [];
  const invalid: string[] = [];
  const answer = { respond, secret: "" };
  const waiting = new Set<() => void>();
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString("utf8");
    if (answer.secret !== "")
      try {
        new Webhook(answer.secret).verify(text, request.headers as Record<string, string>);
      } catch (error) {
        invalid.push(String(error));
      }
    const body = JSON.parse(text);
    const event = {
      id: String(request.headers["webhook-id"]),
      type: body.type,
      coupon_id: body.data?.coupon_id ?? null,
      headers: request.headers,
      body,
    };
    received.push(event);
    answer.respond(event, response);
    for (const told of waiting) told();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`,
    received,
    /** Why a signature was none. */
    invalid,
    /** Verifies with this secret from now on. */
    verifyWith(secret: string) {
      answer.secret = secret;
    },
    respondWith(how: Respond) {
      answer.respond = how;
    },
    /** Resolves when this is true, which is asked whenever an event has come. */
    until: (isSo: () => boolean) =>
      new Promise<void>((resolve) => {
        const told = () => {
          if (!isSo()) return;
          waiting.delete(told);
          resolve();
        };
        waiting.add(told);
        told();
      }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
