#!/bin/sh
# Node.js 20.20.2 behind nginx 1.22.1-9+deb12u11 of Debian 12, unpacked.
#
# nginx takes `103 Early Hints` of the server behind it for the answer itself, and all that follows, the true status and headers included,
# for its body. A client reads it as what it was meant to be, but the two no longer agree where it ends: the client waits for
# the end of the connection, nginx for the next request. So the page comes late by whichever timeout ends first.
#
# Seen, of a page that is sent after 0.1 s, by fetch; `keepalive_timeout 4s` in nginx (75 s by default), 5 s in Node.js by default:
#   page without hints               after 0.1 s
#   page with writeEarlyHints()      after 4 s
#   …, proxy_http_version 1.1        after 6 s, and not a byte, nor the hints, before
#   …, asked without nginx           after 0.1 s
# A good guess goes wrong because a proxy has to pass on 1xx or leave it out (RFC 9110), because nginx passed on the 103 to all appearance,
# and because the page is right when it comes. `102 Processing` (writeProcessing()) does the same.
# Who meets it: who switches on early hints, in the `earlyHints()` of @hono/node-server say, to be faster, and has Debian's nginx before it.
# nginx passes them on from 1.29.0 on, says its project. What to do: do not send 1xx until the proxy is known to be newer.
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

const server = createServer((request, response) => {
  if (request.url === "/hints") response.writeEarlyHints({ link: "</page.css>; rel=preload; as=style" });
  setTimeout(() => response.end("the page"), 100);
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
  keepalive_timeout 4s;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${direct}; }
    location /http11/ { proxy_pass http://${direct}/; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`);
const options = ["-p", process.cwd(), "-c", `${process.cwd()}/nginx.conf`, "-e", "stderr"];
const nginx = spawn("unpacked/usr/sbin/nginx", options, { stdio: ["ignore", "inherit", "inherit"] });
const isUp = () => new Promise((done) => {
  const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
  socket.on("connect", () => socket.destroy());
});
while (!(await isUp())) await sleep(50);

const problems = [];
async function ask(name, url, isLate) {
  const began = performance.now();
  const response = await fetch(`http://${url}`);
  const text = await response.text();
  const seconds = (performance.now() - began) / 1000;
  console.log(`${name}: ${response.status} ${text} after ${seconds.toFixed(1)} s`);
  if (response.status !== 200 || text !== "the page" || seconds > 3.5 !== isLate) problems.push(name);
}
await ask("without hints", `127.0.0.1:${port}/`, false);
await ask("with hints", `127.0.0.1:${port}/hints`, true);
await ask("with hints, HTTP/1.1", `127.0.0.1:${port}/http11/hints`, true);
await ask("without hints, HTTP/1.1", `127.0.0.1:${port}/http11/`, false);
await ask("with hints, not through nginx", `${direct}/hints`, false);
nginx.kill("SIGTERM");
await once(nginx, "exit");
if (problems.length > 0) console.error(`changed: nginx and early hints of the server behind it: ${problems.join("; ")}`);
process.exit(problems.length > 0 ? 1 : 0);
END
