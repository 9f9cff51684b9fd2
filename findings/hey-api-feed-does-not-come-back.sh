#!/bin/sh
# @hey-api/openapi-ts 0.99.0 with typescript 5.9.3 and tsx 4.23.15 from npm, Node.js 20.20.2.
#
# Of an operation that answers text/event-stream, the generated client makes a feed that reconnects. It does so in other cases than
# EventSource, in part in the opposite ones:
#  - a stream that the server ends in order is taken for finished: the loop ends, without an error, and nobody connects again;
#  - a status that says no (401, 404) or "stop" (204) is asked again, for ever;
#  - the pause doubles with each connection and never goes back, however well the last one worked; and sseMaxRetryAttempts is the
#    number of connections in the life of the feed, not of failures in a row.
#
# Seen, with sseDefaultRetryDelay 50 ms, where each connection gives one event:
#   the server ends the stream                      1 connection, the loop has ended, 0 errors
#   the connection is cut after each event          connections after 0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2 s
#   … with sseMaxRetryAttempts: 3                   3 connections, 3 events, the loop has ended
#   401, or 204                                     asked again after 0.05, 0.15, 0.35, 0.75, 1.5 s …, and the loop goes on
# A good guess goes wrong because Last-Event-ID, `retry:` and the name of the option are those of EventSource, and because the
# usual test, a server that is killed, shows a feed that comes back.
# Who meets it: pages and services that watch a feed. A server that restarts cleanly, or ends streams after an hour, loses all of them in
# silence; behind a proxy that cuts them every minute, the pause reaches its cap of 30 s; a token that has run out is tried for ever.
# What to do: a loop of one's own around the call, with sseMaxRetryAttempts: 1, or EventSource.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts @hey-api/openapi-ts@0.99.0 typescript@5.9.3 tsx@4.23.15
cat >api.json <<'END'
{
  "openapi": "3.1.0",
  "info": { "title": "feed", "version": "1" },
  "paths": {
    "/feed": {
      "get": {
        "operationId": "feed",
        "responses": { "200": { "description": "events", "content": { "text/event-stream": { "schema": { "type": "object" } } } } }
      }
    }
  }
}
END
node_modules/.bin/openapi-ts -i api.json -o client >generate.log 2>&1 || { cat generate.log >&2; exit 1; }

cat >run.ts <<'END'
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "./client/client/index.ts";
import { feed } from "./client/sdk.gen.ts";

type Answer = (response: ServerResponse) => void;
function event(response: ServerResponse) {
  response.writeHead(200, { "content-type": "text/event-stream" }).write("id: 1\ndata: {}\n\n");
}

/** What a feed has done after 4 s. */
async function watch(name: string, answer: Answer, options = {}) {
  const times: number[] = [];
  const server = createServer((_, response) => {
    times.push(performance.now());
    answer(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = createClient({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const stop = new AbortController();
  const seen = { connections: 0, events: 0, errors: 0, hasEnded: false, lastPauseMs: 0 };
  const { stream } = await feed({ client, signal: stop.signal, sseDefaultRetryDelay: 50, onSseError: () => seen.errors++, ...options });
  void (async () => {
    for await (const _ of stream) seen.events++;
    seen.hasEnded = true;
  })();
  await sleep(4_000);
  seen.connections = times.length;
  seen.lastPauseMs = Math.round((times.at(-1) ?? 0) - (times.at(-2) ?? 0));
  console.log(name, JSON.stringify(seen));
  const result = { ...seen };
  stop.abort();
  server.closeAllConnections();
  server.close();
  return result;
}
const cut: Answer = (response) => {
  event(response);
  setTimeout(() => response.destroy(), 20);
};
const ended = await watch("the server ends the stream:", (response) => {
  event(response);
  setTimeout(() => response.end(), 20);
});
const lost = await watch("the connection is cut:", cut);
const three = await watch("… with sseMaxRetryAttempts 3:", cut, { sseMaxRetryAttempts: 3 });
const refused = await watch("401:", (response) => response.writeHead(401).end());
const stopped = await watch("204:", (response) => response.writeHead(204).end());

const problems = [
  [ended.connections === 1 && ended.hasEnded && ended.errors === 0, "comes back after the end of a stream"],
  [lost.events >= 4 && lost.lastPauseMs >= 350 && !lost.hasEnded, "does not wait longer after connections that worked"],
  [three.connections === 3 && three.events === 3 && three.hasEnded, "counts failures in a row"],
  [refused.connections >= 4 && !refused.hasEnded, "gives up after 401"],
  [stopped.connections >= 4 && !stopped.hasEnded, "gives up after 204"],
].flatMap(([isSame, what]) => (isSame ? [] : [what]));
if (problems.length > 0) console.error(`changed: the feed of hey-api ${problems.join("; ")}`);
process.exit(problems.length > 0 ? 1 : 0);
END
node_modules/.bin/tsx run.ts
