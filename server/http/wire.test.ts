import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../clock.ts";
import { createLog } from "../observability/log.ts";
import { createMetrics } from "../observability/metrics.ts";
import { createCors } from "./cors.ts";
import { createExchanges } from "./exchange.ts";
import { createRateLimit } from "./rate-limit.ts";
import { createHttpServer, LIMITS } from "./wire.ts";

type Asked = [incoming: IncomingMessage, outgoing: ServerResponse];

/** A server with these limits, whose listener does nothing by itself: `asked()` is the next request. */
async function listen(t: TestContext, limits: Partial<typeof LIMITS> = {}) {
  const logged: { status?: number }[] = [];
  const { refuse } = createExchanges({
    clock: systemClock,
    log: createLog("debug", (line) => void logged.push(JSON.parse(line))),
    metrics: createMetrics(),
    cors: createCors([]),
    rateLimit: createRateLimit(0),
    isDraining: () => false,
  });
  const waiting: Asked[] = [];
  const listener = (...request: Asked) => {
    waiting.push(request);
    server.emit("asked", request[0].url);
  };
  const server = createHttpServer(listener, refuse, {
    ...LIMITS,
    checkMs: 20,
    ...limits,
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const asked = async (): Promise<Asked> => {
    while (waiting.length === 0) await once(server, "asked");
    return waiting.shift() as Asked;
  };
  const open = (): Socket => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
    t.after(() => socket.destroy());
    return socket;
  };
  return {
    server,
    statuses: () => logged.map(({ status }) => status),
    asked,
    open,
    /**
     * Opens a connection, sends `bytes` and waits for the first request. A machine that is busy may let a connection grow too
     * old before: then another one.
     */
    async openAsked(bytes: string): Promise<[Socket, ...Asked]> {
      for (const request = asked(); ; logged.length = 0) {
        const connected = once(server, "connection");
        const socket = open();
        socket.write(bytes);
        const [connection] = await connected;
        const first = await Promise.race([request, once(connection, "close").then(() => undefined)]);
        if (first) return [socket, ...first];
      }
    },
  };
}

/** The statuses that came until the server ended the connection. */
async function statusesOf(socket: Socket): Promise<number[]> {
  const text = Buffer.concat(await socket.toArray().catch(() => [])).toString();
  return [...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status));
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

test("the last request that a connection may bring says so, and closes it", async (t) => {
  const { open, asked } = await listen(t, { requestsPerConnection: 2 });
  const socket = open();
  socket.write(get("/1") + get("/2") + get("/3"));
  const text = socket.toArray();
  for (const path of ["/1", "/2"]) {
    const [incoming, outgoing] = await asked();
    assert.equal(incoming.url, path);
    outgoing.end();
  }
  const said = Buffer.concat(await text).toString();
  assert.deepEqual(said.match(/^Connection: .*$/gim), ["Connection: keep-alive", "Connection: close"]);
});

test("one connection more than there may be is closed", async (t) => {
  const { open, asked } = await listen(t, { connections: 1 });
  const first = open();
  first.write(get("/"));
  const [, outgoing] = await asked();
  const beyond = open();
  beyond.write(get("/"));
  assert.deepEqual(await Promise.race([statusesOf(beyond), asked()]), [], "it is not even asked");
  outgoing.writeHead(200, { connection: "close" }).end();
  assert.deepEqual(await statusesOf(first), [200]);
});

test("who stops reading is left, and who waits for an answer too long", async (t) => {
  const { openAsked } = await listen(t, { silentMs: 300 });
  const [, , outgoing] = await openAsked(get("/")); // and its socket is never read from
  outgoing.write(Buffer.alloc(64 * 1024 * 1024));
  await once(outgoing, "close");
  assert.equal(outgoing.writableFinished, false);

  const [, , unanswered] = await openAsked(get("/"));
  await once(unanswered, "close");
});

test("answers in the queue of a lost connection are told, as the first of them is", async (t) => {
  const { open, asked } = await listen(t);
  const socket = open();
  socket.write(get("/1") + get("/2") + get("/3"));
  const answers = [await asked(), await asked(), await asked()];
  const lost = answers.map(([, outgoing]) => once(outgoing, "close"));
  socket.destroy();
  await Promise.all(lost);
});

test("what is refused waits for the answers before it, and is counted and logged", async (t) => {
  const { open, asked, statuses } = await listen(t);
  const socket = open();
  const told = statusesOf(socket);
  socket.write(`${get("/1")}${get("/2")}garbage\r\n\r\n`);
  const [[, first], [, second]] = [await asked(), await asked()];
  second.end();
  socket.write("more garbage\r\n");
  first.writeHead(201).end();
  assert.deepEqual(await told, [201, 200, 400]);
  assert.deepEqual(statuses(), [400]);
});

const chunked = (version: string) =>
  `POST /refused HTTP/${version}\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`;

for (const [what, bytes, status] of [
  ["chunks in HTTP/1.0", chunked("1.0"), 400],
  ["chunks in HTTP/0.9", chunked("0.9"), 400],
  ["chunks in HTTP/2.0", chunked("2.0"), 400],
  ["two Hosts", "GET /refused HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400],
  ["Expect: x", "GET /refused HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", 417],
] as const)
  for (const before of ["", get("/before")])
    for (const apart of [false, true])
      test(`${what}${before && " behind another"}: refused, and what follows${apart ? " later" : ""} is not taken`, async (t) => {
        const { open, asked, server, statuses } = await listen(t);
        const taken: (string | undefined)[] = [];
        server.on("asked", (url) => taken.push(url));
        const socket = open();
        const told = statusesOf(socket);
        const follows = get("/behind").repeat(2);
        const wire = once(server, "connection");
        socket.write(before + bytes + (apart ? "" : follows));
        if (apart) {
          const [connection] = await wire;
          while (statuses().length === 0) await sleep(1);
          socket.write(follows);
          const all = Buffer.byteLength(before + bytes + follows);
          while (connection.bytesRead < all && !connection.destroyed) await sleep(1);
        }
        if (before) (await asked())[1].end();
        assert.deepEqual(await told, before ? [200, status] : [status]);
        assert.deepEqual(taken, before ? ["/before"] : []);
        assert.deepEqual(statuses(), [status]);
      });

const CONNECT = "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n";

for (const before of [[], [get("/1")], [get("/1"), get("/2")]])
  test(`CONNECT and a reset, ${before.length} answers due before: no error is nobody's, and they are told`, async (t) => {
    const { server, open, asked, statuses } = await listen(t);
    const connected = once(server, "connection");
    const connecting = once(server, "connect");
    const socket = open();
    socket.write(before.join("") + CONNECT);
    const [wire] = (await connected) as [Socket];
    await connecting;
    const lost: Promise<unknown>[] = [];
    for (const _ of before) lost.push(once((await asked())[1], "close"));
    // Not once(), which listens for errors too.
    const cut = new Promise((resolve) => wire.once("close", resolve));
    socket.resetAndDestroy();
    await Promise.all([cut, ...lost]);
    assert.deepEqual(statuses(), before.length > 0 ? [] : [400]);
  });

test("an answer that CONNECT follows goes on as it is read", async (t) => {
  const { server, open, asked } = await listen(t);
  const socket = open();
  const connecting = once(server, "connect");
  socket.write(get("/") + CONNECT);
  const [, outgoing] = await asked();
  await connecting;
  assert.equal(outgoing.write(Buffer.alloc(16 * 1024 * 1024, "x")), false);
  const read = statusesOf(socket);
  await once(outgoing, "drain");
  outgoing.end();
  assert.deepEqual(await read, [200, 400]);
});

test("an answer that CONNECT follows is left when nobody reads it, and when its client ends", async (t) => {
  const { openAsked } = await listen(t, { silentMs: 300 });
  const [, , unread] = await openAsked(get("/") + CONNECT); // and its socket is never read from
  unread.write(Buffer.alloc(64 * 1024 * 1024));
  await once(unread, "close");
  assert.equal(unread.writableFinished, false);

  const patient = await listen(t);
  const [socket, , unanswered] = await patient.openAsked(get("/") + CONNECT);
  socket.end();
  await once(unanswered, "close");
});

test("late is who hasn't sent all, unless it is being answered already", async (t) => {
  const { open, openAsked, statuses } = await listen(t, { headMs: 100, requestMs: 200 });
  const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{";
  const [upload, incoming, outgoing] = await openAsked(post);
  const answered = statusesOf(upload);
  outgoing.write("begun");
  const late = open();
  late.write(post);
  assert.deepEqual(await statusesOf(late), [408]);
  upload.write("}");
  await incoming.resume().toArray();
  outgoing.end();
  upload.end();
  assert.deepEqual(await answered, [200]);
  assert.deepEqual(statuses(), [408]);
});

for (const before of [[], [get("/")]])
  test(`late by a byte that comes after the refusal: not read, ${before.length} answers due before`, async (t) => {
    const { server, openAsked, asked, statuses } = await listen(t, {
      headMs: 100,
      requestMs: 100,
      lingerMs: 60_000,
    });
    const late = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{";
    const [socket, ...first] = await openAsked(`${before.join("")}${late}`);
    const told = statusesOf(socket);
    const due = before.length > 0 ? first : undefined;
    const [incoming] = due ? await asked() : first;
    const body = incoming.toArray().catch(() => "cut");
    const sent = incoming.socket.bytesRead;
    await once(server, "clientError");
    socket.write("}");
    while (incoming.socket.bytesRead === sent) await sleep(5);
    due?.[1].end();
    assert.deepEqual([await told, await body], [[...before.map(() => 200), 408], "cut"]);
    assert.deepEqual(statuses(), [408]);
  });

for (const [what, head, status] of [
  ["answered", "", 401],
  ["refused", "Host: y\r\n", 400],
] as const)
  test(`who is ${what} for the last time while it sends sees that`, async (t) => {
    const { server, open, asked } = await listen(t, { lingerMs: 60_000 });
    const connected = once(server, "connection");
    const socket = open();
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${head}Content-Length: 9\r\n\r\n{`);
    const [wire] = (await connected) as [Socket];
    const written = once(wire, "finish");
    if (what === "answered") (await asked())[1].writeHead(status, { connection: "close" }).end();
    await written;
    await new Promise(setImmediate);
    assert.equal(wire.destroyed, false);
    socket.write("}");
    assert.deepEqual(await statusesOf(socket), [status]);
  });

test("who goes on sending after the last answer is cut", async (t) => {
  const { server, asked } = await listen(t, { lingerMs: 50, requestMs: 0, silentMs: 0 });
  const connected = once(server, "connection");
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {});
  t.after(() => socket.destroy());
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
  const [wire] = (await connected) as [Socket];
  const cut = new Promise((resolve) => wire.once("close", resolve));
  (await asked())[1].writeHead(401, { connection: "close" }).end();
  await cut;
});

test("a connection that nothing was sent on is closed without a word", async (t) => {
  const { open, statuses } = await listen(t, { headMs: 100 });
  assert.deepEqual(await statusesOf(open()), []);
  assert.deepEqual(statuses(), []);
});
