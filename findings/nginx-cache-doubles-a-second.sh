#!/bin/sh
# nginx 1.22.1-9+deb12u11 and HAProxy 2.6.12-1+deb12u4 of Debian 12, unpacked, before a server of Node.js 20.20.2.
#
# nginx's cache gives an answer with `max-age=1` for up to two seconds: it counts in whole seconds, and its last one is a full one. Nor
# does it send Age, so whoever caches behind it (another nginx, a CDN, a browser) begins anew with the whole max-age.
#
# Seen, of an answer that is made anew for each request, first asked for when a second begins, and then without a pause:
#   nginx                up to 1.99 s old, no Age
#   nginx before nginx   up to 2.97 s old, no Age
#   HAProxy              up to 0.99 s old, Age: 0
# A good guess goes wrong because max-age is a promise that a cache may break to the shorter side only, and because a cache has to say Age
# (RFC 9111): HAProxy's does both.
# Who meets it: lists that may be a second old, and no more: stock, prices, what is on offer, a clock in the answer that pages count down
# with (`server_time`). With a minute instead of a second it is the missing Age that counts: each layer adds a minute.
# What to do: reckon with max-age and a second for each nginx, or keep the answer itself for less in the server; put a time of its own
# into the answer; add `Cache-Control: no-store` for what is behind (`proxy_hide_header`, `add_header`), if one layer is enough.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

apt-get -qq -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11 libpcre2-8-0=10.42-1 haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 \
  libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4
for package in *.deb; do dpkg -x "$package" unpacked; done
mkdir temp

LD_LIBRARY_PATH=$dir/unpacked/usr/lib/x86_64-linux-gnu node --input-type=module <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const server = createServer((request, response) => {
  response.setHeader("cache-control", "public, max-age=1").end(`${Date.now()}`);
}).listen(0, "127.0.0.1");
await once(server, "listening");
const direct = `127.0.0.1:${server.address().port}`;
async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  await new Promise((closed) => probe.close(closed));
  return port;
}
const ports = { nginx: await freePort(), far: await freePort(), haproxy: await freePort() };
const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${process.cwd()}/temp/${name};`);
writeFileSync("nginx.conf", `
daemon off;
master_process off;
pid ${process.cwd()}/temp/pid;
events {}
http {
  access_log off;
  ${paths.join("\n  ")}
  proxy_cache_path ${process.cwd()}/temp/one keys_zone=one:1m;
  proxy_cache_path ${process.cwd()}/temp/two keys_zone=two:1m;
  server {
    listen 127.0.0.1:${ports.nginx};
    location / { proxy_pass http://${direct}; proxy_cache one; }
  }
  server {
    listen 127.0.0.1:${ports.far};
    location / { proxy_pass http://127.0.0.1:${ports.nginx}; proxy_cache two; }
  }
}
`);
writeFileSync("haproxy.cfg", `
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
cache one
  total-max-size 4
  max-age 60
frontend near
  bind 127.0.0.1:${ports.haproxy}
  http-request cache-use one
  http-response cache-store one
  default_backend far
backend far
  server one ${direct}
`);
const stdio = ["ignore", "inherit", "inherit"];
const children = [
  spawn("unpacked/usr/sbin/nginx", ["-p", process.cwd(), "-c", `${process.cwd()}/nginx.conf`, "-e", "stderr"], { stdio }),
  spawn("unpacked/usr/sbin/haproxy", ["-f", "haproxy.cfg"], { stdio }),
];
process.on("exit", () => children.forEach((child) => child.kill()));
const isUp = (port) => new Promise((done) => {
  const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
  socket.on("connect", () => socket.destroy());
});
for (const port of Object.values(ports)) while (!(await isUp(port))) await sleep(50);

async function ask(port) {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  return { made: Number(await response.text()), age: response.headers.get("age") ?? "none" };
}
/** The greatest age of the answer that is given first, and what later ones say of it. */
async function lives(port) {
  const first = await ask(port);
  let oldest = 0;
  const said = new Set();
  for (;;) {
    const { made, age } = await ask(port);
    if (made !== first.made) return { oldest, said: [...said].join() };
    oldest = Math.max(oldest, Date.now() - made);
    said.add(age);
    await sleep(3);
  }
}
/** When the next whole second begins, and after a while. */
const second = (after = 0) => sleep(1_000 - (Date.now() % 1_000) + after);

const seen = {};
await second();
seen.nginx = await lives(ports.nginx);
await second(3_000);
await ask(ports.nginx);
await second(850);
seen["nginx before nginx"] = await lives(ports.far);
await second();
seen.haproxy = await lives(ports.haproxy);
for (const [name, { oldest, said }] of Object.entries(seen)) console.log(`${name}: up to ${(oldest / 1000).toFixed(2)} s old; Age: ${said}`);
server.closeAllConnections();
server.close();
const { nginx, haproxy, "nginx before nginx": far } = seen;
if (nginx.oldest < 1_500 || far.oldest < 2_500 || haproxy.oldest > 1_300 || nginx.said !== "none" || haproxy.said !== "0") {
  console.error("changed: nginx's cache keeps an answer no longer than max-age, or says its Age, or HAProxy's does not");
  process.exit(1);
}
process.exit(0);
END
