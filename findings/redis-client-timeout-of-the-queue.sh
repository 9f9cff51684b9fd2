#!/bin/sh
# @redis/client 6.3.1 and ioredis 6.0.0 from npm, Node.js 20.20.2, Redis 7.0.15-1~deb12u10 of Debian 12, unpacked.
#
# In @redis/client (`redis` of npm), `timeout` and `abortSignal` of a command limit how long it waits to be sent. Both are taken off when
# the command is written to the socket, which on an open connection is at once. From then on the command waits for its answer without limit.
#
# Seen, of a GET with a limit of 200 ms, while the server stands still (SIGSTOP) for 3 s:
#   @redis/client, timeout: 200                                     answered after 3 s
#   @redis/client, abortSignal: AbortSignal.timeout(200)            answered after 3 s, long after the signal was aborted
#   @redis/client, timeout: 200, the connection is lost meanwhile   TimeoutError after 0.2 s
#   ioredis, commandTimeout: 200                                    "Command timed out" after 0.2 s
# A good guess goes wrong because the type says "Timeout for the command in milliseconds", because a signal elsewhere rejects what it was
# given to, and because the test that one writes, with no server there, does time out.
# Who meets it: whoever put a limit on the cache before the database: a server that hangs (a slow script, a full disk, a network
# that drops packets) holds each request for as long as it hangs.
# What to do: Promise.race() with a timer around the call. `socketTimeout` of the socket closes a connection that is silent for long.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts @redis/client@6.3.1 ioredis@6.0.0
apt-get -qq -o APT::Sandbox::User=root download redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 \
  libjemalloc2=5.3.0-1 liblzf1=3.6-3 libatomic1=12.2.0-14+deb12u1
for package in *.deb; do dpkg -x "$package" unpacked; done

cat >run.js <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { Redis } from "ioredis";

const LIMIT_MS = 200;
const STILL_MS = 3_000;
const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
await new Promise((closed) => probe.close(closed));

async function start() {
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""];
  const env = { ...process.env, LD_LIBRARY_PATH: `${process.cwd()}/unpacked/usr/lib/x86_64-linux-gnu` };
  const server = spawn("unpacked/usr/bin/redis-server", options, { stdio: ["ignore", "pipe", "inherit"], env });
  for await (const text of server.stdout) if (`${text}`.includes("Ready to accept connections")) return server;
  throw new Error("redis-server has not started");
}

/** How a command ends, and after how long. */
async function end(command) {
  const began = performance.now();
  const what = await command.then((value) => `answered ${value}`, (error) => `${error.constructor.name} ${error.message}`);
  return { what, ms: performance.now() - began };
}
const server = await start();
const client = createClient({ socket: { host: "127.0.0.1", port } });
client.on("error", () => {});
await client.connect();
await client.set("stock", "7");
const other = new Redis({ host: "127.0.0.1", port, commandTimeout: LIMIT_MS });
other.on("error", () => {});
await other.get("stock");

process.kill(server.pid, "SIGSTOP");
const still = [
  end(client.withCommandOptions({ timeout: LIMIT_MS }).get("stock")),
  end(client.withCommandOptions({ abortSignal: AbortSignal.timeout(LIMIT_MS) }).get("stock")),
  end(other.get("stock")),
];
await sleep(STILL_MS);
process.kill(server.pid, "SIGCONT");
const [timeout, signal, ioredis] = await Promise.all(still);
other.disconnect();
const exit = once(server, "exit");
server.kill("SIGKILL");
await exit;
await sleep(LIMIT_MS);
const lost = await end(client.withCommandOptions({ timeout: LIMIT_MS }).get("stock"));
client.destroy();

const seen = { timeout, signal, ioredis, "timeout, not connected": lost };
for (const [name, { what, ms }] of Object.entries(seen)) console.log(`${name}: ${what} after ${Math.round(ms)} ms`);
const isUnlimited = [timeout, signal].every(({ what, ms }) => what === "answered 7" && ms >= STILL_MS - 100);
const isLimited = [ioredis, lost].every(({ what, ms }) => !what.startsWith("answered") && ms < STILL_MS - 100);
if (!isUnlimited || !isLimited) console.error("changed: the timeout of @redis/client ends a command that was sent");
process.exit(isUnlimited && isLimited ? 0 : 1);
END
node run.js
