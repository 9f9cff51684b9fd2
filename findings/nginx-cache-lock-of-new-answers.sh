#!/bin/sh
# nginx 1.22.1-9+deb12u11 of Debian 12, unpacked, before a server of Node.js 20.20.2.
#
# `proxy_cache_lock on` lets one request of many through and holds back the rest, the first time only. When a cached answer is too old,
# all of them go to the server. And who was held back looks again every 0.5 s, not when the answer is there.
#
# Seen, of 20 requests at once for an answer with max-age=1 that takes 200 ms:
#   never asked before                        the server was asked 1 time; the rest are answered after 0.5 s or more
#   older than a second                       the server was asked 20 times
#   … with proxy_cache_use_stale updating     1 time; the rest are answered at once with the old one
#   … stale-while-revalidate in the answer    the same
# A good guess goes wrong because the lock is the advice against a stampede, and a stampede is at each expiry; because its test, an empty
# cache, shows one request; and because the 0.5 s are in no setting (proxy_cache_lock_timeout is 5 s).
# Who meets it: who caches a busy list for a second. The server gets the full load each second, in bursts, although the cache's share of
# hits looks good; and after a restart everybody waits half a second.
# What to do: `proxy_cache_use_stale updating` beside the lock, or stale-while-revalidate in the server's Cache-Control, where an answer a
# little older than its max-age will do.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

apt-get -qq -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11 libpcre2-8-0=10.42-1
for package in *.deb; do dpkg -x "$package" unpacked; done
mkdir temp

LD_LIBRARY_PATH=$dir/unpacked/usr/lib/x86_64-linux-gnu node --input-type=module <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

let asked = 0;
const server = createServer((request, response) => {
  asked++;
  const stale = request.url === "/revalidate" ? ", stale-while-revalidate=10" : "";
  setTimeout(() => response.setHeader("cache-control", `public, max-age=1${stale}`).end("3 coupons"), 200);
}).listen(0, "127.0.0.1");
await once(server, "listening");
const direct = `127.0.0.1:${server.address().port}`;
const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
await new Promise((closed) => probe.close(closed));
const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${process.cwd()}/temp/${name};`);
writeFileSync("nginx.conf", `
daemon off;
master_process off;
pid ${process.cwd()}/temp/pid;
events {}
http {
  access_log off;
  ${paths.join("\n  ")}
  proxy_cache_path ${process.cwd()}/temp/cache keys_zone=one:1m;
  proxy_cache one;
  proxy_cache_lock on;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${direct}; }
    location /stale { proxy_pass http://${direct}; proxy_cache_use_stale updating; }
  }
}
`);
const nginx = spawn("unpacked/usr/sbin/nginx", ["-p", process.cwd(), "-c", `${process.cwd()}/nginx.conf`, "-e", "stderr"], {
  stdio: ["ignore", "inherit", "inherit"],
});
process.on("exit", () => nginx.kill());
const isUp = () => new Promise((done) => {
  const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
  socket.on("connect", () => socket.destroy());
});
while (!(await isUp())) await sleep(50);

const seen = {};
for (const path of ["/lock", "/stale", "/revalidate"])
  for (const when of ["never asked before", "older than a second"]) {
    asked = 0;
    const began = performance.now();
    const took = await Promise.all(Array.from({ length: 20 }, async () => {
      await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
      return Math.round(performance.now() - began);
    }));
    took.sort((a, b) => a - b);
    console.log(`${path}, ${when}: 20 clients, the server was asked ${asked} times; answers after ${took[0]} to ${took.at(-1)} ms`);
    seen[`${path}, ${when}`] = { asked, first: took[0], second: took[1] };
    await sleep(2_500);
  }
server.closeAllConnections();
server.close();

const isSame =
  Object.entries(seen).every(([name, { asked, second }]) => name.endsWith("second") || (asked === 1 && second >= 450)) &&
  seen["/lock, older than a second"].asked === 20 &&
  ["/stale", "/revalidate"].every((path) => seen[`${path}, older than a second`].asked === 1 && seen[`${path}, older than a second`].first < 200);
if (!isSame) {
  console.error("changed: nginx's cache lock holds back requests for an answer that is too old, or lets those for a new one go on before 0.5 s");
  process.exit(1);
}
process.exit(0);
END
