#!/bin/sh
# Hono 4.13.19 with @hono/node-server 2.1.8 on Node.js 20.20.2.
#
# Hono answers HEAD by running the GET handler and throwing its body away. Of a route that streams (streamSSE, stream) the body
# is thrown away without being cancelled. So nothing tells the handler that nobody reads: onAbort is not called, `aborted` stays
# false, the signal of the request is not aborted, and a loop that runs "until the client has gone" never ends.
#
# Seen, of a feed that counts the handlers that run:
#   GET, then the client goes        0 still run, onAbort 1 time, signal aborted 1 time
#   HEAD five times, each answered   5 still run, onAbort 0 times, signal aborted 0 times; so too when the connections are closed
# A good guess goes wrong because HEAD is thought to cost no more than GET, because the same handler does end for a GET, and
# because the answer to HEAD is right and complete at once: only a count of subscribers shows what it leaves behind.
# Who meets it: who has a feed and a monitor, a link checker, `curl -I` or a proxy's health check that asks for it by HEAD. What the
# handler subscribed to (LISTEN, an event emitter, a timer) stays subscribed for as long as the process runs.
# What to do: in a route that streams, answer `c.req.method === "HEAD"` with c.body(null) before anything is begun.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts hono@4.13.19 @hono/node-server@2.1.8

node --input-type=module <<'END'
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";

let running = 0;
let aborts = 0;
let signals = 0;
const app = new Hono().get("/feed", (c) => {
  c.req.raw.signal.addEventListener("abort", () => signals++);
  return streamSSE(c, async (feed) => {
    running++;
    feed.onAbort(() => aborts++);
    while (!feed.aborted) {
      await feed.writeSSE({ data: "still here" });
      await feed.sleep(20);
    }
    running--;
  });
});
const server = await new Promise((listens) => {
  const started = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, () => listens(started));
});
const url = `http://127.0.0.1:${server.address().port}/feed`;

/** What is left, a second after the clients have gone. */
async function leftBy(name, ask) {
  running = aborts = signals = 0;
  await ask();
  server.closeAllConnections();
  await sleep(1000);
  const left = `${running} still run, onAbort ${aborts}, signal ${signals}`;
  console.log(`${name}: ${left}`);
  return left;
}
const afterGet = await leftBy("GET, then gone", async () => {
  const response = await fetch(url);
  await response.body.getReader().read();
});
const afterHead = await leftBy("HEAD five times", async () => {
  for (let i = 0; i < 5; i++) {
    const response = await fetch(url, { method: "HEAD" });
    if (response.status !== 200 || (await response.text()) !== "") throw new Error("HEAD was not answered");
  }
});
const isSame = afterGet === "0 still run, onAbort 1, signal 1" && afterHead === "5 still run, onAbort 0, signal 0";
if (!isSame) console.error("changed: a handler that streams is told when it was asked for by HEAD, or no longer when a GET has gone");
process.exit(isSame ? 0 : 1);
END
