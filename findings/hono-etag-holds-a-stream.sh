#!/bin/sh
# Hono 4.13.19 with @hono/node-server 2.1.8 on Node 20: `etag()` and `compress()` over a route that streams.
#
# Both are commonly put before all routes. A route below them that answers piece by piece then no longer does so:
#   etag()      reads the whole body to make the digest of it. Not even the status and the headers are sent before the
#               stream has ended. The type does not matter: a text/event-stream is held too.
#   compress()  leaves text/event-stream and application/x-ndjson alone. Of application/json the headers are sent at once,
#               but the pieces wait in the compressor until the stream has ended.
#
# Seen, with a route that sends three pieces, a second after each (first byte of the body):
#   neither                        after about 10 ms
#   etag(), any type               after 3 s: headers and all three pieces at the same time
#   compress(), event stream       after about 10 ms
#   compress(), application/json   after 3 s: all three pieces at the same time
# A good guess goes wrong because compress() does leave event streams alone, so that etag() is thought to do so as well, and
# because a stream of the test suite is short: it is complete, with the right bytes and a right ETag. One that never ends (a
# feed of events) answers nothing at all.
# Who meets it: who adds etag() for all routes of a service that also has a feed, an export by lines, or an answer of a model.
# What to do: put etag() on the routes that answer whole; a streaming route that sets an ETag of its own is not read either.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts hono@4.13.19 @hono/node-server@2.1.8

node --input-type=module <<'END'
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { compress } from "hono/compress";
import { etag } from "hono/etag";
import { stream } from "hono/streaming";

const PIECES = 3;
const APART_MS = 1000;

function appWith(middleware) {
  const app = new Hono();
  app.use(middleware);
  app.get("/:kind/:subtype", (c) => {
    c.header("content-type", `${c.req.param("kind")}/${c.req.param("subtype")}`);
    if (c.req.query("tag")) c.header("etag", '"its own"');
    return stream(c, async (out) => {
      for (let i = 0; i < PIECES; i++) {
        await out.write(`data: ${i}\n\n`);
        await out.sleep(APART_MS);
      }
    });
  });
  return app;
}

/** When the headers and the first byte of the body came, ms. */
async function firstByte(port, path) {
  const began = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { "accept-encoding": "gzip" } });
  const headers = performance.now() - began;
  const reader = response.body.getReader();
  await reader.read();
  const body = performance.now() - began;
  while (!(await reader.read()).done);
  return { headers, body };
}

const seen = {};
for (const [name, middleware] of [
  ["neither", (_, next) => next()],
  ["etag()", etag()],
  ["compress()", compress()],
]) {
  await new Promise((done, fail) => {
    const server = serve({ fetch: appWith(middleware).fetch, hostname: "127.0.0.1", port: 0 }, async ({ port }) => {
      try {
        await firstByte(port, "/text/plain"); // the first request loads code
        for (const path of ["/text/event-stream", "/text/event-stream?tag=1", "/application/x-ndjson", "/application/json"]) {
          const { headers, body } = await firstByte(port, path);
          const isHeld = (ms) => ms > APART_MS * (PIECES - 1);
          seen[`${name} ${path}`] = `${isHeld(headers) ? "held" : "at once"}, ${isHeld(body) ? "held" : "at once"}`;
          console.log(`${name} ${path}: headers after ${Math.round(headers)} ms, first byte after ${Math.round(body)} ms`);
        }
        server.closeAllConnections();
        server.close(done);
      } catch (error) {
        fail(error);
      }
    });
  });
}
const expected = {
  "neither /text/event-stream": "at once, at once",
  "neither /text/event-stream?tag=1": "at once, at once",
  "neither /application/x-ndjson": "at once, at once",
  "neither /application/json": "at once, at once",
  "etag() /text/event-stream": "held, held",
  "etag() /text/event-stream?tag=1": "at once, at once",
  "etag() /application/x-ndjson": "held, held",
  "etag() /application/json": "held, held",
  "compress() /text/event-stream": "at once, at once",
  "compress() /text/event-stream?tag=1": "at once, at once",
  "compress() /application/x-ndjson": "at once, at once",
  "compress() /application/json": "at once, held",
};
const changed = Object.keys(expected).filter((name) => seen[name] !== expected[name]);
if (changed.length > 0) {
  console.error(`changed: ${changed.map((name) => `${name} is ${seen[name]}`).join("; ")}`);
  process.exit(1);
}
END
