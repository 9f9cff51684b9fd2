#!/bin/sh
# Vite 8.3.8 and Chromium 153 (npm @sparticuz/chromium 153.0.0, headless) on Node.js 20.20.2, Linux x64.
#
# A worker imported with `?worker&inline` is not inline while one develops: Vite's own server serves it as a file. Only the build
# makes a blob of it. In a worker made of a blob no relative URL leads anywhere, not even one that begins with a slash: it is resolved
# against blob:http://…, which is no base. So `fetch("/price.txt")` works until the day of the release.
#
# Seen, in the worker: location, and what fetch() of these gave; /price.txt says 7
#                                       "/price.txt"   new URL("/price.txt", location)   new URL("/price.txt", location.origin)
#   served, ?worker           http:     7              7                                 7
#   served, ?worker&inline    http:     7              7                                 7
#   built,  ?worker           http:     7              7                                 7
#   built,  ?worker&inline    blob:     TypeError      TypeError                         7
# and location.host, which is empty in the last row; location.origin is right in all.
# A good guess goes wrong because the import says inline, so that what works while one develops is thought to be tried; and because a
# blob's worker has the origin of its page, so that nothing else about its requests differs.
# Who meets it: libraries that ship their worker inline, as one file is simpler, and ask the server from there: fetch(), EventSource, wasm.
# It is known to Vite (issue 14338, open since 2023).
# What to do: resolve against location.origin, or let the page send its base in the first message; try the built page.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts vite@8.3.8 @sparticuz/chromium@153.0.0

mkdir -p page/public
echo 7 >page/public/price.txt
cat >page/index.html <<'END'
<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>
END
cat >page/main.js <<'END'
import Inline from "./worker.js?worker&inline";
import Served from "./worker.js?worker";

const seen = {};
for (const [name, Kind] of [["worker", Served], ["worker&inline", Inline]]) {
  const worker = new Kind();
  seen[name] = await new Promise((done) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = (event) => done(`error ${event.message}`);
  });
}
await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
END
cat >page/worker.js <<'END'
async function ask(url) {
  try {
    return (await (await fetch(url())).text()).trim();
  } catch (error) {
    return error.name;
  }
}
Promise.all([
  ask(() => "/price.txt"),
  ask(() => new URL("/price.txt", location)),
  ask(() => new URL("/price.txt", location.origin)),
]).then((prices) => {
  postMessage([location.protocol, location.host ? "a host" : "no host", ...prices].join(" "));
});
END

cat >run.js <<'END'
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createProbe } from "node:net";
import { brotliDecompressSync } from "node:zlib";
import { build, createServer, preview } from "vite";

for (const name of ["chromium", "al2023.tar"]) {
  writeFileSync(name, brotliDecompressSync(readFileSync(`node_modules/@sparticuz/chromium/bin/${name}.br`)));
}
chmodSync("chromium", 0o755);
spawnSync("tar", ["--no-same-owner", "-xf", "al2023.tar"]);

async function freePort() {
  const probe = createProbe().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  await new Promise((closed) => probe.close(closed));
  return port;
}

let told;
const hear = ({ middlewares }) => {
  middlewares.use("/seen", async (request, response) => {
    let body = "";
    for await (const data of request) body += data;
    response.end();
    told(JSON.parse(body));
  });
};
const config = {
  root: "page",
  configFile: false,
  logLevel: "error",
  plugins: [{ name: "hear", configureServer: hear, configurePreviewServer: hear }],
};

/** What the page at this port tells, opened in a Chromium of its own. */
async function open(port, profile) {
  const report = new Promise((resolve) => (told = resolve));
  const flags = ["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", `--user-data-dir=${profile}`];
  const env = { ...process.env, HOME: process.cwd(), TMPDIR: process.cwd(), LD_LIBRARY_PATH: "lib" };
  const chromium = spawn("./chromium", [...flags, `http://127.0.0.1:${port}/`], { stdio: "ignore", detached: true, env });
  const timer = setTimeout(told, 60_000, {});
  const seen = await report;
  clearTimeout(timer);
  process.kill(-chromium.pid, "SIGKILL");
  await once(chromium, "exit");
  return seen;
}

const at = { host: "127.0.0.1", port: await freePort(), strictPort: true };
const development = await (await createServer({ ...config, server: { ...at, hmr: false, watch: null } })).listen();
const served = await open(at.port, "served");
await development.close();

await build(config);
const built = await preview({ ...config, preview: at });
const released = await open(at.port, "built");

const seen = Object.entries({ served, built: released }).flatMap(([how, kinds]) =>
  Object.entries(kinds).map(([kind, told]) => `${how}, ?${kind}: ${told}`),
);
console.log(seen.join("\n"));
const expected = [
  "served, ?worker: http: a host 7 7 7",
  "served, ?worker&inline: http: a host 7 7 7",
  "built, ?worker: http: a host 7 7 7",
  "built, ?worker&inline: blob: no host TypeError TypeError 7",
];
const isSame = seen.join() === expected.join();
if (!isSame) console.error("changed: Vite serves an inline worker otherwise, or a worker made of a blob has a base");
process.exit(isSame ? 0 : 1);
END
node run.js
