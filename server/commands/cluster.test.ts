/** ./sd cluster where there is none, and what it refuses. server/commands/cluster.long.test.ts brings one up. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseEnv } from "node:util";
import { printed } from "../../bench/harness/printed.ts";
import { locked } from "../../db/embedded/lock.ts";
import { findCluster, removeCluster, startCluster, urlFile } from "../cluster/cluster.ts";
import { configureServers, layOut, NODES, type Node, quoted } from "../cluster/layout.ts";
import { findPrograms, missingPackages, type Programs } from "../cluster/packages.ts";
import { lateOf, type Said, statesOf } from "../cluster/patroni.ts";
import { createProcesses } from "../cluster/processes.ts";
import { readEnv } from "../env.ts";
import { cluster } from "./cluster.ts";

let dataDir: string;
before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "cluster-"));
});
after(() => rm(dataDir, { recursive: true }));

const env = () => readEnv({ DATA_DIR: dataDir }, "");

for (const args of [
  ["status", "n1"],
  ["start", "now"],
  ["stop", "n1"],
  ["switchover", "n4"],
  ["switchover", "s1"],
  ["switchover", "n1", "n2"],
  ["kill"],
  ["kill", "n4"],
  ["kill", "n1", "n2"],
  ["reset", "--no"],
  ["restart"],
  ["toString"],
])
  test(`${args.join(" ")}: is no subcommand`, async () => {
    await assert.rejects(cluster(env(), args), {
      message:
        "usage: ./sd cluster [start | status | switchover [n1 | n2 | n3] | kill (etcd | n1 | n2 | n3 | haproxy | s1 | s2) | stop | reset [--yes]]",
    });
  });

for (const args of [["status"], ["switchover"], ["kill", "n1"]])
  test(`${args[0]} where no cluster was made`, async () => {
    const message = `there is no cluster in ${dataDir}: ./sd cluster makes one`;
    await assert.rejects(cluster(env(), args), { message });
    assert.deepEqual(await readdir(dataDir), []);
  });

test("stop and reset where no cluster was made", async (t) => {
  assert.deepEqual(await printed(t, () => cluster(env(), ["stop"])), ["nothing was running"]);
  const removed = [`removed the cluster in ${dataDir}`];
  assert.deepEqual(await printed(t, () => cluster(env(), ["reset", "--yes"])), removed);
});

test("stop ends a server whatever Node.js and checkout run it", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => rm(root, { recursive: true }));
  const layout = await layOut(root, () => {});
  const file = join(root, "s1.env");
  await writeFile(file, "");
  const main = ["-e", "console.log('up'); setInterval(() => {}, 1e9)"];
  const server = spawn(process.execPath, ["--no-warnings", `--env-file=${file}`, ...main]);
  t.after(() => server.kill());
  const ended = once(server, "exit");
  await once(server.stdout, "data");
  const processes = createProcesses(layout, {} as Programs);
  assert.deepEqual([await processes.isRunning("s1"), await processes.isRunning("s2")], [true, false]);
  // It stands still, as after SIGSTOP by hand or a fault that was interrupted.
  server.kill("SIGSTOP");
  assert.equal(await processes.end("s1"), true);
  assert.deepEqual(await ended, [null, "SIGTERM"]);
});

test("the node that keeps a start waiting is named", () => {
  const nodes = (...roles: string[]) =>
    roles.map((role, i) => ({ node: NODES[i] as Node, role, timeline: undefined, lag: undefined }));
  assert.deepEqual(
    [nodes("leader", "standby", "start failed"), nodes("synchronous", "not running", "leader"), nodes()].map(
      lateOf,
    ),
    ["n3", "n2", "n1"],
  );
});

test("a leader of before that does not follow yet is not told as 0 bytes behind", () => {
  const said = (timeline: number, replayed_location: number): Said => ({
    ...{ state: "running", role: "replica", timeline },
    xlog: { replayed_location },
  });
  const leader: Said = {
    ...{ state: "running", role: "primary", timeline: 5, xlog: { location: 1_000 } },
    replication: [{ application_name: "n3", state: "streaming", sync_state: "sync" }],
  };
  assert.deepEqual(statesOf(["n1", "n2", "n3"], [leader, said(4, 1_200), said(5, 900)]), [
    { node: "n1", role: "leader", timeline: 5, lag: 0 },
    { node: "n2", role: "not streaming", timeline: 4, lag: undefined },
    { node: "n3", role: "synchronous", timeline: 5, lag: 100 },
  ]);
  const stays = statesOf(["n1", "n2"], [leader, said(5, 700)]);
  assert.deepEqual(stays[1], { node: "n2", role: "not streaming", timeline: 5, lag: 300 });
});

test("packages that are missing are named with the line that installs them", () => {
  const missing = missingPackages([
    ["patroni", () => "/nowhere/patroni"],
    ["haproxy", () => process.execPath],
    ["postgresql", () => undefined],
  ]);
  assert.throws(() => findPrograms(missing), {
    message:
      "the cluster needs patroni, postgresql. On Debian, as root: apt-get install -y patroni postgresql",
  });
});

const missing = missingPackages();
test("a switchover waits for a stop: it would start a node after it", {
  skip: missing.length > 0 ? `needs ${missing.join(", ")}` : false,
}, async (t) => {
  const home = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => removeCluster({ dataDir: home }).then(() => rm(home, { recursive: true })));
  await mkdir(join(home, "cluster"));
  await writeFile(urlFile({ dataDir: home }), "");
  const found = await findCluster({ dataDir: home });
  let isOver = false;
  let switchover: Promise<unknown> | undefined;
  await locked(await realpath(join(home, "cluster")), async () => {
    switchover = assert.rejects(found?.switchover() as Promise<unknown>, /^Error: no node leads/);
    void switchover.then(() => {
      isOver = true;
    });
    await sleep(500);
    assert.equal(isOver, false);
  });
  await switchover;
});

test("a first start that was killed, and a second one that is ended: nothing is left", {
  skip: missing.length > 0 ? `needs ${missing.join(", ")}` : false,
}, async (t) => {
  const home = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => rm(home, { recursive: true }));
  const root = join(home, "cluster");
  await mkdir(root);
  const { directory } = await layOut(root, () => {});
  const mark = ["/usr/bin/patroni", join(directory, "n1.yml")];
  const left = spawn(process.execPath, [
    "-e",
    "console.log('up'); setInterval(() => {}, 1e9)",
    "--",
    ...mark,
  ]);
  t.after(() => left.kill());
  const ended = once(left, "exit");
  await once(left.stdout, "data");
  const signal = AbortSignal.abort(new Error("Ctrl-C"));
  await assert.rejects(startCluster({ dataDir: home, keys: { JWT_SECRET: "s".repeat(32) }, signal }), {
    message: "Ctrl-C",
  });
  assert.deepEqual(await ended, [null, "SIGTERM"]);
  assert.deepEqual(await readdir(home), []);
});

test("a first start that fails: the log that it names is there, and nothing else; the next one comes as far", {
  skip: missing.length > 0 ? `needs ${missing.join(", ")}` : false,
}, async (t) => {
  const home = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => removeCluster({ dataDir: home }));
  t.after(() => rm(home, { recursive: true }));
  const root = join(home, "cluster");
  await mkdir(root);
  for (let i = 0; i < 2; i++) {
    const { directory } = await layOut(root, () => {});
    // Where its data should be.
    await writeFile(join(directory, "etcd"), "");
    await assert.rejects(startCluster({ dataDir: home, keys: { JWT_SECRET: "s".repeat(32) } }), (error) => {
      const [, log = ""] = (error as Error).message.match(/^etcd has ended: see (.*\/etcd\.log)\n/) ?? [];
      assert.equal(log, join(directory, "etcd.log"));
      return true;
    });
    assert.deepEqual(await readdir(directory), ["etcd.log"]);
    assert.match(await readFile(join(directory, "etcd.log"), "utf8"), /error listing data dir/);
  }
});

test("Ctrl-C of a start that waits for another one", {
  skip: missing.length > 0 ? `needs ${missing.join(", ")}` : false,
}, async (t) => {
  const home = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => rm(home, { recursive: true }));
  await mkdir(join(home, "cluster"));
  await locked(await realpath(join(home, "cluster")), async () => {
    const signal = AbortSignal.abort(new Error("Ctrl-C"));
    await assert.rejects(startCluster({ dataDir: home, keys: { JWT_SECRET: "s".repeat(32) }, signal }), {
      message: "Ctrl-C",
    });
  });
});

for (const secret of ["plain", "a#b", " of blanks ", "it's #1", 'a"b\\n', "`#'", "$HOME", "ü=é"])
  test(`a server reads the secret that it is given: ${secret}`, async () => {
    const file = join(dataDir, "secret.env");
    await writeFile(file, `JWT_SECRET=${quoted(secret)}\nHOST=127.0.0.1\n`);
    const code = "process.stdout.write(JSON.stringify([process.env.JWT_SECRET, process.env.HOST]))";
    const said = execFileSync(process.execPath, [`--env-file=${file}`, "-e", code], {
      env: {},
      encoding: "utf8",
    });
    assert.deepEqual(JSON.parse(said), [secret, "127.0.0.1"]);
    await rm(file);
  });

test("the servers take the tokens of ./sd token, whatever these say as iss and aud", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => rm(root, { recursive: true }));
  const layout = await layOut(root, () => {});
  const given = { JWT_SECRET: "a#b ".repeat(8), JWT_ISSUER: "https://id.example/#1", JWT_AUDIENCE: " shop" };
  for (const keys of [{ ...given, METRICS_TOKEN: "'m'".repeat(6) }, { JWT_SECRET: given.JWT_SECRET }]) {
    await configureServers(layout, keys);
    const text = await readFile(join(root, "s2.env"), "utf8");
    const ours = readEnv({ ...keys }, "");
    const theirs = readEnv(parseEnv(text), text);
    const names = ["JWT_SECRET", "JWT_ISSUER", "JWT_AUDIENCE", "METRICS_TOKEN"] as const;
    assert.deepEqual(
      names.map((name) => theirs[name]),
      names.map((name) => ours[name]),
    );
  }
});

test("a secret that no quotes can hold is refused", () => {
  for (const secret of ["`'\"", "`'\\n"]) assert.throws(() => quoted(secret), /choose one without/);
});
