#!/bin/sh
# ioredis 6.0.0 and @redis/client 6.3.1 from npm, Node.js 20.20.2, Redis 7.0.15-1~deb12u10 of Debian 12, unpacked.
#
# ioredis sends a command again, whatever it is, when the connection was lost before the answer came. If Redis had done it, it is done
# twice: one call of incr() counts two, and says 2. `autoResendUnfulfilledCommands`, on by default, is said to be for commands that block,
# such as blpop. Switched off, the call does not fail either: it stays pending for ever, though the client is connected again.
#
# Seen, of one incr("sold") whose connection is cut between Redis and its answer:
#   ioredis                                         answered 2; sold: 2
#   ioredis, autoResendUnfulfilledCommands: false   neither answered nor rejected in 3 s; sold: 1
#   ioredis, maxRetriesPerRequest: 0                MaxRetriesPerRequestError; sold: 1
#   @redis/client                                   SocketClosedUnexpectedlyError; sold: 1
# A good guess goes wrong because drivers of databases reject what was under way when a connection is lost (its outcome is unknown),
# because the other client of Redis does, and because a test that stops Redis loses the count with it, so that the second INCR looks like
# the first.
# Who meets it: stocks, counters, rate limits and queues (lpush) by ioredis, at each failover, restart of a proxy or cut of an idle
# connection: a unit is gone that nobody has, or a job is there twice.
# What to do: maxRetriesPerRequest: 0 on connections that count, and let the caller decide; or a script that keeps the request's own key
# and gives the same answer again.
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
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { Redis } from "ioredis";

const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
await new Promise((closed) => probe.close(closed));
const env = { ...process.env, LD_LIBRARY_PATH: `${process.cwd()}/unpacked/usr/lib/x86_64-linux-gnu` };
const server = spawn("unpacked/usr/bin/redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""], {
  stdio: ["ignore", "pipe", "inherit"],
  env,
});
process.on("exit", () => server.kill());
for await (const text of server.stdout.iterator({ destroyOnReturn: false }))
  if (`${text}`.includes("Ready to accept connections")) break;
server.stdout.resume();

/** A way to Redis that is cut once, between an INCR and its answer. */
let isToBeCut = false;
const way = createServer((near) => {
  const far = connect(port, "127.0.0.1");
  let isIncr = false;
  near.on("data", (data) => {
    isIncr = /\r\nincr\r\n/i.test(`${data}`);
    far.write(data);
  });
  far.on("data", (data) => {
    if (!isIncr || !isToBeCut) return void near.write(data);
    isToBeCut = false;
    near.destroy();
  });
  for (const [one, other] of [[near, far], [far, near]]) one.on("error", () => {}).on("close", () => other.destroy());
}).listen(0, "127.0.0.1");
await once(way, "listening");

const direct = await createClient({ socket: { host: "127.0.0.1", port } }).connect();
const problems = [];
async function run(name, expected, client, call) {
  await direct.del("sold");
  isToBeCut = true;
  const answer = await Promise.race([
    call(client).then((value) => `answered ${value}`, (error) => error.constructor.name),
    sleep(3_000, "neither answered nor rejected in 3 s"),
  ]);
  const seen = `${answer}; sold: ${await direct.get("sold")}`;
  console.log(`${name}: ${seen}`);
  if (seen !== expected) problems.push(name);
}
const address = { host: "127.0.0.1", port: way.address().port };
const incr = (client) => client.incr("sold");
for (const [name, options, expected] of [
  ["ioredis", {}, "answered 2; sold: 2"],
  ["ioredis, autoResendUnfulfilledCommands: false", { autoResendUnfulfilledCommands: false }, "neither answered nor rejected in 3 s; sold: 1"],
  ["ioredis, maxRetriesPerRequest: 0", { maxRetriesPerRequest: 0 }, "MaxRetriesPerRequestError; sold: 1"],
]) {
  const client = new Redis({ ...address, ...options });
  client.on("error", () => {});
  await once(client, "ready");
  await run(name, expected, client, incr);
  client.disconnect();
}
const client = await createClient({ socket: address }).on("error", () => {}).connect();
await run("@redis/client", "SocketClosedUnexpectedlyError; sold: 1", client, incr);
client.destroy();
direct.destroy();
way.close();
server.kill();
await once(server, "exit");
if (problems.length > 0) {
  console.error(`changed: what becomes of an INCR whose connection is lost: ${problems.join("; ")}`);
  process.exit(1);
}
process.exit(0);
END
node run.js
