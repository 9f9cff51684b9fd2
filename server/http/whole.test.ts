import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, test } from "node:test";
import { issueAnswer } from "./answer.ts";
import { createSendWhole } from "./whole.ts";

const sendWhole = createSendWhole();
/** What was written to sockets in one write each. */
let writes: string[] = [];

const server = createServer((incoming, outgoing) => {
  const { url = "" } = incoming;
  const { status, headers, text } = url.endsWith("?other")
    ? { status: 200, headers: {} as Record<string, string>, text: '{"message":"5 € off, Zoë 🎟"}' }
    : issueAnswer(
        7,
        {
          outcome: "sold_out",
          user_id: 42,
          starts_in: null,
          sold_out_at: "2026-11-28T12:00:01.843000Z",
          time_to_sell_out: 1.843,
        },
        "mine:1",
      );
  if (url.startsWith("/node")) {
    outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) }).end(text);
    return;
  }
  const { socket } = outgoing;
  const write = socket?.write;
  if (socket && write)
    socket.write = (...given: unknown[]) => {
      writes.push(String(given[0]));
      return Reflect.apply(write, socket, given);
    };
  sendWhole(outgoing, { status, headers, text });
  if (socket && write) socket.write = write;
});

before(() => once(server.listen(0, "127.0.0.1"), "listening"));
after(() => {
  server.closeAllConnections();
  server.close();
});

/** Everything that is answered until the connection ends; what is sent last ends it. */
async function answersTo(head: (path: string) => string, path: string): Promise<string> {
  writes = [];
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.end(head(path));
  const answers = Buffer.concat(await socket.toArray()).toString();
  assert.match(answers, /\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/);
  return answers.replace(/Date: .*/g, "Date: now");
}

const get = (path: string, version = "1.1", more = "") =>
  `GET ${path} HTTP/${version}\r\nHost: x\r\n${more}\r\n`;

for (const [what, isWhole, head] of [
  ["one request", true, (path: string) => get(path)],
  ["HTTP/1.0 with keep-alive", true, (path: string) => get(path, "1.0", "Connection: keep-alive\r\n")],
  ["HTTP/1.0", false, (path: string) => get(path, "1.0")],
  ["the last request", false, (path: string) => get(path, "1.1", "Connection: close\r\n")],
  ["three requests in one packet", true, (path: string) => get(path).repeat(3)],
  ["one behind another's answer", true, (path: string) => get("/node") + get(path) + get("/node")],
] as const)
  test(`${what}: the bytes are Node's${isWhole ? ", in one write" : ""}`, async () => {
    const [node, ours] = [await answersTo(head, "/node"), await answersTo(head, "/ours")];
    assert.equal(ours, node);
    const [first = ""] = writes;
    if (isWhole && what !== "one behind another's answer")
      assert.match(first, /^HTTP\/1\.1 409 Conflict\r\n.*\}$/s);
  });

test("a text that is not ASCII: the bytes are Node's", async () => {
  const head = (path: string) => get(`${path}?other`).repeat(2);
  assert.equal(await answersTo(head, "/node"), await answersTo(head, "/ours"));
  assert.match(writes[0] ?? "", /Zoë 🎟"\}$/);
});

test("with limits, Keep-Alive says them as Node does", async (t) => {
  const { keepAliveTimeout, maxRequestsPerSocket } = server;
  t.after(() => Object.assign(server, { keepAliveTimeout, maxRequestsPerSocket }));
  for (const limits of [
    { keepAliveTimeout: 65_432, maxRequestsPerSocket: 3 },
    { keepAliveTimeout: 0, maxRequestsPerSocket: 0 },
  ]) {
    Object.assign(server, limits);
    const head = (path: string) => get(path).repeat(3);
    assert.equal(await answersTo(head, "/ours"), await answersTo(head, "/node"));
  }
});
