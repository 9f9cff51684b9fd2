#!/bin/sh
# Chromium 153 (npm @sparticuz/chromium 153.0.0, headless, Linux x64) before a server of Node.js 20.20.2; 156.0.8078.108 of Debian 12 does
# the same.
#
# A POST that Chromium sends on a connection that was used before, and that ends without an answer, is sent a second time on a new
# one. The page is told nothing of the first. What counts is the connection, not whether the method may be repeated, nor whether the server
# has received the request.
#
# Seen, of one fetch("/buy", { method: "POST" }) in a page; the server reads the POST, "sells", and ends the connection (FIN or RST):
#   on a new connection        the server sold once, the page gets "TypeError: Failed to fetch"
#   on one that was in use     the server sold twice, the page gets 200 "sold 2"
#   Node.js' fetch, in use     the server sold once, the caller gets "TypeError: fetch failed"
# A good guess goes wrong because a POST is known never to be repeated without asking (reload asks), because RFC 9110 says so too, and
# because a test by curl, by fetch of Node.js or on a first connection shows an error and one request.
# Who meets it: every page whose server is killed, or restarted too fast, after the work and before the answer: two orders, and a page that
# shows the second as the only one. HAProxy makes the same of a server that went away (haproxy-closes-without-an-answer.sh).
# What to do: a key of the page's own in each POST that writes, unique in the database, so that the second finds what the first has done.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts @sparticuz/chromium@153.0.0

cat >run.js <<'END'
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { brotliDecompressSync } from "node:zlib";

for (const name of ["chromium", "al2023.tar"]) {
  writeFileSync(name, brotliDecompressSync(readFileSync(`node_modules/@sparticuz/chromium/bin/${name}.br`)));
}
chmodSync("chromium", 0o755);
spawnSync("tar", ["--no-same-owner", "-xf", "al2023.tar"]);

const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
const seen = {};
for (const end of ["fin", "rst"]) {
  for (const before of ["close", "keep"]) {
    await (await fetch("/" + before)).text();
    await new Promise((done) => setTimeout(done, 300));
    const sold = fetch("/buy?" + before + "-" + end, { method: "POST", body: "coupon=1" });
    seen[before + "-" + end] = await sold.then(async (r) => r.status + " " + (await r.text()), String);
  }
}
await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
</script>`;

const sales = {};
let told;
const report = new Promise((resolve) => (told = resolve));
const server = createServer(async (request, response) => {
  let body = "";
  for await (const data of request) body += data;
  const [path, sale] = request.url.split("?");
  if (path === "/") return response.setHeader("content-type", "text/html").end(PAGE);
  if (path === "/close") return response.setHeader("connection", "close").end();
  if (path === "/seen") return told(JSON.parse(body));
  if (path !== "/buy") return response.end();
  sales[sale] = (sales[sale] ?? 0) + 1;
  if (sales[sale] > 1) return response.end(`sold ${sales[sale]}`);
  if (sale.endsWith("fin")) request.socket.end();
  else request.socket.resetAndDestroy();
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/`;

const options = ["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=profile", url];
const env = { ...process.env, HOME: process.cwd(), TMPDIR: process.cwd(), LD_LIBRARY_PATH: "lib" };
const chromium = spawn("./chromium", options, { stdio: "ignore", detached: true, env });
const timer = setTimeout(told, 60_000, {});
const page = await report;
clearTimeout(timer);
process.kill(-chromium.pid, "SIGKILL");
await once(chromium, "exit");

const byFetch = {};
for (const end of ["fin", "rst"]) {
  await (await fetch(`${url}keep`)).text();
  byFetch[`node-${end}`] = await fetch(`${url}buy?node-${end}`, { method: "POST", body: "coupon=1" }).then((r) => `${r.status}`, String);
}
const seen = Object.entries({ ...page, ...byFetch }).map(([sale, answer]) => `${sale}: sold ${sales[sale]} times, ${answer}`);
console.log(seen.join("\n"));
const expected = [
  "close-fin: sold 1 times, TypeError: Failed to fetch",
  "keep-fin: sold 2 times, 200 sold 2",
  "close-rst: sold 1 times, TypeError: Failed to fetch",
  "keep-rst: sold 2 times, 200 sold 2",
  "node-fin: sold 1 times, TypeError: fetch failed",
  "node-rst: sold 1 times, TypeError: fetch failed",
];
const isSame = seen.join() === expected.join();
if (!isSame) console.error("changed: Chromium no longer sends a POST again whose connection ended without an answer");
process.exit(isSame ? 0 : 1);
END
node run.js
