/** What is sent, and to whom not. The signature is verified by the reference library. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { openReceiver } from "../../bench/harness/receiver.ts";
import { until } from "../../bench/harness/waiting.ts";
import { systemClock } from "../clock.ts";
import { isPublic } from "./address.ts";
import { createPost, type PostOptions } from "./post.ts";

const secrets = [
  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA=",
  "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAAAAA=",
];
const message = { id: "2-3-1796036400000012", body: '{"type":"coupon.issued","data":{"coupon_id":7}}' };

/** The shape of a URL is right. */
const NO_URLS = ["https://crm.example:99999/", "https://[zz]/", "https://%/", "https://256.1.1.1/"];

async function posting(t: TestContext, options: PostOptions = {}) {
  const receiver = await openReceiver();
  const { post, close } = createPost({ allowPrivate: true, ...options });
  t.after(async () => {
    close();
    await receiver.close();
  });
  return { receiver, post: (url = receiver.url) => post({ url, secrets }, message) };
}

test("the reference library verifies each secret's signature, and no other one's", async (t) => {
  const { receiver, post } = await posting(t);
  assert.deepEqual(await post(), { status: 204, error: null, wait: null, body: "" });
  const [{ headers, body }] = receiver.received as [(typeof receiver.received)[number]];
  assert.equal(headers["webhook-id"], message.id);
  assert.equal(headers["content-type"], "application/json");
  assert.match(String(headers["webhook-signature"]), /^v1,[\w+/]{43}= v1,[\w+/]{43}=$/);
  const given = headers as Record<string, string>;
  for (const secret of secrets) assert.deepEqual(new Webhook(secret).verify(message.body, given), body);
  assert.throws(() => new Webhook(secrets[0] as string).verify(`${message.body} `, given));
  assert.throws(() => new Webhook(`whsec_${"A".repeat(43)}=`).verify(message.body, given));
});

test("nothing is sent unsigned, as to a webhook whose secrets a restored dump did not have", async (t) => {
  const receiver = await openReceiver();
  const { post, close } = createPost({ allowPrivate: true });
  t.after(async () => {
    close();
    await receiver.close();
  });
  assert.deepEqual(await post({ url: receiver.url, secrets: [] }, message), {
    status: null,
    error: "it has no secret, and nothing is sent unsigned: rotate_webhook_secret() makes one",
    wait: null,
    body: "",
  });
  assert.equal(receiver.received.length, 0);
});

test("the time of the attempt is signed too", async (t) => {
  const { receiver, post } = await posting(t, {
    clock: { ...systemClock, wall: () => Date.now() - 3_600_000 },
  });
  await post();
  const headers = receiver.received[0]?.headers as Record<string, string>;
  assert.throws(() => new Webhook(secrets[0] as string).verify(message.body, headers), /too old/);
});

test("what is not 2xx is not taken, and a redirect is not followed", async (t) => {
  const { receiver, post } = await posting(t);
  const other = await openReceiver();
  t.after(other.close);
  for (const [status, headers, wait] of [
    [200, {}, null],
    [299, {}, null],
    [302, { location: other.url }, null],
    [307, { location: other.url }, null],
    [404, {}, null],
    [410, {}, null],
    [429, { "retry-after": "120" }, 120],
    [503, { "retry-after": "99999999" }, 86_400],
    [503, { "retry-after": "9".repeat(400) }, 86_400],
    [503, { "retry-after": new Date(Date.now() - 5_000).toUTCString() }, 0],
    [503, { "retry-after": "1.5" }, 2],
    [503, { "retry-after": "soon" }, null],
  ] as const) {
    receiver.respondWith((_, response) => void response.writeHead(status, headers).end("a body"));
    assert.deepEqual(await post(), {
      status,
      error: status < 300 ? null : `status ${status}`,
      wait,
      body: "a body",
    });
  }
  assert.equal(other.received.length, 0);
});

test("who does not answer in time, or never ends, is not waited for", async (t) => {
  const { receiver, post } = await posting(t, { answerMs: 200 });
  receiver.respondWith(() => {});
  assert.deepEqual(await post(), { status: null, error: "no answer in 0.2 s", wait: null, body: "" });
  // It has answered, and its body hangs.
  const patient = await posting(t, { answerMs: 2_000 });
  patient.receiver.respondWith((_, response) => void response.writeHead(200).write("so far"));
  assert.deepEqual(await patient.post(), { status: 200, error: null, wait: null, body: "so far" });
  patient.receiver.respondWith((_, response) => void response.destroy());
  assert.equal((await patient.post()).error, "socket hang up");
});

test("who switches protocols has not taken it", async (t) => {
  const { receiver, post } = await posting(t);
  receiver.respondWith((_, { socket }) =>
    socket?.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
  );
  assert.deepEqual(await post(), { status: 101, error: "status 101", wait: null, body: "" });
});

test("however an answer ends that is none, the post ends", async (t) => {
  const { receiver, post } = await posting(t);
  for (const [sent, error] of [
    ["", "socket hang up"],
    ["HTTP/1.1 100 Continue\r\n\r\n", "socket hang up"],
    ["HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", "socket hang up"],
    ["HTTP/1.1 204 No", "socket hang up"],
    ["no HTTP\r\n\r\n", "Parse Error: Expected HTTP/, RTSP/ or ICE/"],
  ] as const) {
    receiver.respondWith((_, { socket }) => socket?.end(sent));
    assert.deepEqual(await post(), { status: null, error, wait: null, body: "" }, sent);
  }
});

test("a post waits for no other one to the same host", { timeout: 60_000 }, async (t) => {
  const clock = createClock();
  const { receiver, post } = await posting(t, { answerMs: 2_000, clock });
  let hanging = 0;
  receiver.respondWith((_, response) => {
    if (hanging < 20) hanging += 1;
    else response.writeHead(204).end();
  });
  const posts = Array.from({ length: 20 }, () => post());
  await receiver.until(() => hanging === 20);
  assert.equal((await post()).status, 204);
  await clock.pass(2_000);
  for (const { error } of await Promise.all(posts)) assert.equal(error, "no answer in 2 s");
});

test("what is no URL is told", async (t) => {
  const { post } = await posting(t);
  for (const url of NO_URLS)
    assert.deepEqual(await post(url), { status: null, error: "it is no URL", wait: null, body: "" }, url);
});

test("of a body without end 4 KiB are read", async (t) => {
  const { receiver, post } = await posting(t);
  let written = 0;
  const closed = new Promise<void>((resolve) => {
    receiver.respondWith((_, response) => {
      response.writeHead(200);
      const more = () => {
        for (let isRoom = true; isRoom && !response.destroyed; written += 65_536)
          isRoom = response.write("x".repeat(65_536));
      };
      response.on("drain", more);
      response.on("close", resolve);
      more();
    });
  });
  const { status, body } = await post();
  assert.deepEqual([status, body.length], [200, 4_096]);
  await closed;
  // What the system buffers, and no more.
  assert.ok(written < 20_000_000, `${written} bytes`);
});

test("a name that has no address, and a port where nobody listens", async (t) => {
  const { post } = await posting(t);
  assert.match(String((await post("http://nothing.invalid/")).error), /ENOTFOUND|EAI_AGAIN/);
  assert.match(String((await post("http://127.0.0.1:1/")).error), /ECONNREFUSED/);
});

test("a connection that the receiver closed meanwhile is no failure", async (t) => {
  const { receiver, post } = await posting(t);
  receiver.respondWith((_, response) => {
    response.writeHead(204).end();
    // Without a word: the next request is written to a connection that is gone.
    setImmediate(() => response.socket?.resetAndDestroy());
  });
  for (let i = 0; i < 20; i++) assert.equal((await post()).status, 204);
});

test("nor are several that it closed, the one that is used instead among them", async (t) => {
  const { receiver, post } = await posting(t);
  const held: ServerResponse[] = [];
  receiver.respondWith((_, response) => {
    if (held.push(response) === 3) for (const each of held) each.writeHead(204).end();
  });
  assert.deepEqual(
    (await Promise.all([post(), post(), post()])).map(({ status }) => status),
    [204, 204, 204],
  );
  const kept = new Set(held.map(({ req }) => req.socket));
  assert.equal(kept.size, 3);
  receiver.respondWith((_, response) => {
    if (kept.has(response.req.socket)) response.req.socket.resetAndDestroy();
    else response.writeHead(204).end();
  });
  assert.equal((await post()).status, 204);
});

/** A receiver in a process of its own, which prints its port; what it is told comes to its standard input. */
async function receiving(t: TestContext, source: string): Promise<{ port: number; tell: () => void }> {
  const child = spawn(process.execPath, ["-e", source], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill());
  const port = Number(String((await once(child.stdout, "data"))[0]));
  return { port, tell: () => child.stdin.end("go on") };
}

/** It ends its first connection in good order, and resets it a moment later. */
const ENDING = `
  let ends = ({ socket }) => setTimeout(() => socket.end() && setTimeout(() => socket.resetAndDestroy(), 50), 50);
  const server = require("node:http").createServer((request, response) => {
    response.writeHead(204).end();
    ends(request);
    ends = () => {};
  });
  server.listen(0, "127.0.0.1", () => require("node:fs").writeSync(1, server.address().port + "\\n"));`;

/** Nothing of this process goes on meanwhile. */
const standStill = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test("nor is one that it closed while this process stood still", async (t) => {
  const { post } = await posting(t);
  const url = `http://127.0.0.1:${(await receiving(t, ENDING)).port}/`;
  assert.equal((await post(url)).status, 204);
  standStill(500);
  assert.deepEqual(await post(url), { status: 204, error: null, wait: null, body: "" });
});

/**
 * It takes connections once it is told to, and until then as many as the system keeps. The next one is asked for again after a second, and
 * then after two more: too late.
 */
const SLOW = `
  const { readSync, writeSync } = require("node:fs");
  const server = require("node:http").createServer((_, response) => response.writeHead(204).end());
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    writeSync(1, server.address().port + "\\n");
    readSync(0, Buffer.alloc(1));
  });`;

test("who is slow to connect is waited for, though the host has another address where nobody is", async (t) => {
  const { port, tell } = await receiving(t, SLOW);
  const queue = Array.from({ length: 2 }, () => connect(port, "127.0.0.1"));
  for (const socket of queue) t.after(() => socket.destroy());
  await Promise.all(queue.map((socket) => once(socket, "connect")));
  let isResolved = false;
  const resolve = async () => {
    isResolved = true;
    return ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 }));
  };
  const { post } = await posting(t, { resolve });
  const posted = post(`http://crm.example:${port}/`);
  await until(() => isResolved, "its addresses are asked for");
  await settled(); // and it has asked to connect
  tell();
  const { status, error } = await posted;
  assert.deepEqual([status, error], [204, null]);
});

test("which addresses are public", () => {
  for (const address of ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
    assert.ok(isPublic(address), address);
  for (const address of [
    ...["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254"],
    ...["100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"],
    ...[
      "::",
      "::1",
      "::ffff:127.0.0.1",
      "::ffff:10.0.0.1",
      "::7f00:1",
      "::ffff:0:127.0.0.1",
      "fe80::1",
      "fe80::1%lo",
    ],
    ...[
      "fc00::1",
      "fd00::1",
      "ff02::1",
      "64:ff9b::7f00:1",
      "64:ff9b::10.0.0.1",
      "64:ff9b::169.254.169.254",
      "64:ff9b:1::1",
      "64:ff9b:1::8.8.8.8",
      "2002:7f00:1::",
      "2001::1",
      "2001:db8::1",
    ],
    ...["fec0::1", "100::1", "x", ""],
  ])
    assert.ok(!isPublic(address), address);
});

/** Refused without a connection: the receiver is there, and hears nothing. */
async function refused(t: TestContext, url: (port: string) => string, options: PostOptions = {}) {
  const { receiver, post } = await posting(t, { allowPrivate: false, ...options });
  const { status, error } = await post(url(new URL(receiver.url).port));
  assert.equal(status, null);
  assert.equal(receiver.received.length, 0);
  return error;
}

test("unless it is allowed, only https", async (t) => {
  assert.equal(
    await refused(t, (port) => `http://127.0.0.1:${port}/`),
    "it is not https, and WEBHOOKS_ALLOW_PRIVATE is off",
  );
});

for (const [host, address] of [
  ["127.0.0.1", "127.0.0.1"],
  ["0x7f.1", "127.0.0.1"],
  ["2130706433", "127.0.0.1"],
  ["[::1]", "::1"],
  ["[::ffff:127.0.0.1]", "::ffff:7f00:1"],
  ["[::127.0.0.1]", "::7f00:1"],
])
  test(`not to ${host}`, async (t) => {
    assert.equal(
      await refused(t, (port) => `https://${host}:${port}/`),
      `${address} is not a public address`,
    );
  });

test("not to a name that is at one: the system says where", async (t) => {
  assert.match(
    String(await refused(t, (port) => `https://localhost:${port}/`)),
    /^localhost is at (127\.0\.0\.1|::1), which is not a public address$/,
  );
});

const PUBLIC = { address: "8.8.8.8", family: 4 };
const LOOPBACK = { address: "127.0.0.1", family: 4 };

test("not to a name that has a public address too", async (t) => {
  const resolve = async () => [PUBLIC, LOOPBACK];
  assert.equal(
    await refused(t, (port) => `https://crm.example:${port}/`, { resolve }),
    "crm.example is at 127.0.0.1, which is not a public address",
  );
});

test("if it is allowed, also there", async (t) => {
  const { receiver, post } = await posting(t, { resolve: async () => [LOOPBACK] });
  assert.equal((await post(`http://crm.example:${new URL(receiver.url).port}/`)).status, 204);
});

test("the address that was judged is the one that is connected to: a name is asked for once", async (t) => {
  let asked = 0;
  const resolve = async () => {
    asked += 1;
    // TEST-NET of RFC 5737 would be refused; this one is public, and the second answer is not.
    return [asked === 1 ? { address: "192.88.98.1", family: 4 } : LOOPBACK];
  };
  const error = await refused(t, (port) => `https://crm.example:${port}/`, { resolve, answerMs: 300 });
  assert.equal(asked, 1);
  assert.match(String(error), /no answer in 0.3 s|EHOSTUNREACH|ENETUNREACH|ECONNREFUSED|ETIMEDOUT|EACCES/);
});
