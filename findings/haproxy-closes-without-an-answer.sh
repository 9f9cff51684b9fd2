#!/bin/sh
# HAProxy 2.6.12-1+deb12u4 of Debian 12, unpacked, before a server of Node.js 20.20.2.
#
# A server that goes away instead of answering is a 502 only where the request was the first one on the client's connection. For every
# later request HAProxy closes the client's connection without a word, and without a line in its log. It leaves it to the client to ask again,
# whatever the method: also a POST that the server has received, and maybe done. `http-reuse never` changes nothing.
#
# Seen, of a POST that the server reads and then ends the connection (by FIN or by RST, the same):
#   first on the connection          HTTP/1.1 502 Bad Gateway, in the log with 502 … SH--
#   after one that was answered      the connection is closed, nothing in the log
# A good guess goes wrong because a balancer is there to turn a lost server into a status, because curl, one request a run, always shows
# the 502, and because the log and the statuses of HAProxy know of no failure at all.
# Who meets it: clients with a pool of connections (fetch of Node.js: "other side closed") and browsers, whenever a server is killed.
# A client that asks again of itself sends the POST twice: Chromium does (chromium-sends-a-post-again.sh).
# What to do: make each write repeatable by a key, ask again with it, and count the requests where they arrive, not in HAProxy's log.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

apt-get -qq -o APT::Sandbox::User=root download haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 \
  libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4
for package in *.deb; do dpkg -x "$package" unpacked; done

LD_LIBRARY_PATH=$dir/unpacked/usr/lib/x86_64-linux-gnu node --input-type=module <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const received = [];
const server = createServer((request, response) => {
  request.resume().on("end", () => {
    received.push(request.url);
    if (request.url === "/fin") request.socket.end();
    else if (request.url === "/rst") request.socket.resetAndDestroy();
    else response.end("ok");
  });
}).listen(0, "127.0.0.1");
await once(server, "listening");

const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
await new Promise((closed) => probe.close(closed));
writeFileSync("haproxy.cfg", `
global
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option dontlognull
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend shop
  bind 127.0.0.1:${port}
  default_backend shop
backend shop
  server one 127.0.0.1:${server.address().port}
`);
const haproxy = spawn("unpacked/usr/sbin/haproxy", ["-db", "-f", "haproxy.cfg"], { stdio: ["ignore", "pipe", "inherit"] });
let log = "";
haproxy.stdout.on("data", (data) => (log += data));
const isUp = () => new Promise((done) => {
  const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
  socket.on("connect", () => socket.destroy());
});
while (!(await isUp())) await sleep(50);

/** The last of some POSTs on one connection: what the client, the server and the log know of it. */
async function last(...paths) {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  let isOpen = true;
  socket.on("data", (data) => (text += data)).on("close", () => (isOpen = false)).on("error", () => {});
  for (const path of paths) {
    text = log = "";
    received.length = 0;
    socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\ncoupon=1`);
    await sleep(500);
  }
  socket.destroy();
  const lines = log.split("\n").filter((line) => line.includes("POST")).length;
  return `${text.split("\r\n")[0] || `nothing, ${isOpen ? "open" : "closed"}`}; received ${received.length}; lines in the log ${lines}`;
}
const seen = {
  "first, FIN": await last("/fin"),
  "first, RST": await last("/rst"),
  "later, FIN": await last("/ok", "/fin"),
  "later, RST": await last("/ok", "/rst"),
};
console.log(seen);
haproxy.kill("SIGTERM");
await once(haproxy, "exit");
const isSame = Object.entries(seen).every(([name, what]) => name.startsWith("first")
  ? what === "HTTP/1.1 502 Bad Gateway; received 1; lines in the log 1"
  : what === "nothing, closed; received 1; lines in the log 0");
if (!isSame) console.error("changed: HAProxy answers, or logs, a later request whose server went away");
process.exit(isSame ? 0 : 1);
END
