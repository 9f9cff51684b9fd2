#!/bin/sh
# autocannon 9.0.0 from npm, Node.js 20.20.2.
#
# With -D N (reconnectRate), which opens a new connection after N requests, the answer to each N-th request is missing from
# all counts: total, statuses, latencies, the "response" event. It is no error and no timeout either. The answer was received:
# autocannon opens the new connection and returns before it counts.
#
# Seen, of a server that answers at once, 4 connections, 1,000 requests asked for:
#   no -D             the server answered 1,000, autocannon counted 1,000
#   -D 5              the server answered 1,000, autocannon counted 800, no errors
#   -D 2              the server answered 1,000, autocannon counted 500, no errors
# A good guess goes wrong because the missing answers look like requests that the server lost, or the lower rate like the
# price of new connections.
# Who meets it: whoever measures what new connections cost, or compares rows in a database with answers.
# What to do: count at the server, or multiply counts and rate by N / (N - 1).
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts autocannon@9.0.0

cat >run.js <<'END'
import { createServer } from "node:http";
import autocannon from "autocannon";

let served = 0;
const server = createServer((_, response) => {
  served += 1;
  response.end("x");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}`;

async function run(options) {
  served = 0;
  const { requests, errors, timeouts, ...statuses } = await autocannon({ url, connections: 4, amount: 1_000, ...options });
  const seen = { served, counted: requests.total, ok: statuses["2xx"], errors, timeouts };
  console.log(JSON.stringify(options).padEnd(24), JSON.stringify(seen));
  return seen;
}
const plain = await run({});
const fifth = await run({ reconnectRate: 5 });
const second = await run({ reconnectRate: 2 });
server.close();

const isAsSeen = ({ served, counted, ok, errors, timeouts }, all) =>
  served === 1_000 && counted === all && ok === all && errors === 0 && timeouts === 0;
if (!isAsSeen(plain, 1_000) || !isAsSeen(fifth, 800) || !isAsSeen(second, 500)) {
  console.error("changed: autocannon now counts the answer before it reconnects");
  process.exit(1);
}
END
node run.js
