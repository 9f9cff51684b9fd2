#!/bin/sh
# etcd 3.4.23-4+b4 of Debian 12, unpacked, on Linux x64.
#
# Only etcd's leader knows how long a lease has left. The next leader begins anew with the whole TTL, for all leases. So a key whose
# holder is gone lives longer, up to twice its TTL, if etcd's leader is lost meanwhile. A key of the v2 interface with a ttl is not
# affected: it has a moment at which it ends.
#
# Seen, of three nodes and a TTL of 10 s, in seconds after the last renewal:
#                                        lease (v3)   ttl (v2)
#   etcd's leader stays                  10.0         10.0
#   etcd's leader is killed after 8 s    21.8         10.5
# A good guess goes wrong because a lease is said to expire if nobody keeps it alive within its TTL, because etcd is there to survive the
# loss of a node, and because a test kills the holder or etcd's leader, but not both.
# Who meets it: failovers that wait for a lock in etcd, like Patroni's with an `etcd3:` section, where etcd runs on the databases'
# machines: the machine of the primary is etcd's leader's too one time in three, and then the failover takes a TTL and an election, not
# what was left of it. If etcd elects again meanwhile, it begins once more.
# What to do: etcd on machines of its own; reckon with twice the TTL in what is promised. (`--experimental-enable-lease-checkpoint` keeps
# what was left every five minutes: too seldom for a lock.)
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

apt-get -qq -o APT::Sandbox::User=root download etcd-server=3.4.23-4+b4
for package in *.deb; do dpkg -x "$package" unpacked; done

node --input-type=module <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const TTL = 10;
const probes = await Promise.all(Array.from({ length: 6 }, async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  return probe;
}));
const urls = probes.map((probe) => `http://127.0.0.1:${probe.address().port}`);
await Promise.all(probes.map((probe) => new Promise((closed) => probe.close(closed))));
const nodes = ["a", "b", "c"].map((name, i) => ({ name, client: urls[i], peer: urls[i + 3] }));
const cluster = nodes.map(({ name, peer }) => `${name}=${peer}`).join();
const start = ({ name, client, peer }) =>
  spawn("unpacked/usr/bin/etcd", [
    "--enable-v2", "--name", name, "--data-dir", name, "--log-level", "error", "--initial-cluster", cluster, "--initial-cluster-state", "new",
    "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
  ], { stdio: "ignore" });
for (const node of nodes) node.process = start(node);
process.on("exit", () => nodes.forEach((node) => node.process.kill("SIGKILL")));

async function ask(node, path, body = {}) {
  const response = await fetch(`${node.client}/v3/${path}`, { method: "POST", body: JSON.stringify(body), signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}
async function leader() {
  for (;;) {
    for (const node of nodes) {
      const status = await ask(node, "maintenance/status").catch(() => undefined);
      if (status?.leader && status.leader === status.header.member_id) return node;
    }
    await sleep(100);
  }
}
const first = await leader();
const other = nodes.find((node) => node !== first);
const base64 = (text) => Buffer.from(text).toString("base64");

/** After how many seconds each key is gone that was last renewed now, if `meanwhile` is done after 8 s. */
async function lives(meanwhile) {
  const { ID } = await ask(other, "lease/grant", { TTL });
  await ask(other, "kv/put", { key: base64("lock"), value: base64("who"), lease: ID });
  await ask(other, "lease/keepalive", { ID });
  await fetch(`${other.client}/v2/keys/lock?ttl=${TTL}&value=who`, { method: "PUT" });
  const renewed = performance.now();
  const gone = async (isThere) => {
    for (;;) {
      const there = await isThere().catch(() => true);
      const seconds = (performance.now() - renewed) / 1000;
      if (!there || seconds > 60) return seconds;
      await sleep(100);
    }
  };
  setTimeout(meanwhile, 8_000);
  const [v3, v2] = await Promise.all([
    gone(async () => (await ask(other, "kv/range", { key: base64("lock") })).kvs !== undefined),
    gone(async () => (await fetch(`${other.client}/v2/keys/lock`)).status !== 404),
  ]);
  return { v3, v2 };
}
const calm = await lives(() => {});
console.log(`etcd's leader stays: the key with a lease (v3) is gone after ${calm.v3.toFixed(1)} s, the one with a ttl (v2) after ${calm.v2.toFixed(1)} s`);
const lost = await lives(() => first.process.kill("SIGKILL"));
console.log(`etcd's leader is killed after 8 s: v3 ${lost.v3.toFixed(1)} s, v2 ${lost.v2.toFixed(1)} s`);
for (const node of nodes) node.process.kill("SIGKILL");
if (calm.v3 > TTL + 3 || calm.v2 > TTL + 3 || lost.v3 < 8 + TTL || lost.v2 > TTL + 7) {
  console.error("changed: a lease of etcd does not begin anew when etcd's leader is lost, or no longer ends after its TTL otherwise");
  process.exit(1);
}
process.exit(0);
END
