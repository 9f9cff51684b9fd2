/** A collector of traces on loopback, with what it was sent. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

interface Posted {
  path: string | undefined;
  headers: IncomingHttpHeaders;
  body: { resourceSpans: { resource: unknown; scopeSpans: { scope: unknown; spans: Sent[] }[] }[] };
}
export interface Sent {
  traceId: string;
  spanId: string;
  traceState?: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, string> }[];
  status: { code?: number };
}

/** It takes whatever comes, once `ready` is over. */
export async function collector(t: TestContext, ready: Promise<void> = Promise.resolve()) {
  const posted: Posted[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const text = Buffer.concat(await incoming.toArray()).toString();
    posted.push({ path: incoming.url, headers: incoming.headers, body: JSON.parse(text) });
    await ready;
    outgoing.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const spans = () => posted.flatMap(({ body }) => body.resourceSpans[0]?.scopeSpans[0]?.spans ?? []);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, posted, spans };
}
