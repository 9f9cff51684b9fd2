/** ./sd cluster: up, faults of ./sd faults --cluster in short, a node that dies, down. */
import assert from "node:assert/strict";
import { chown, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { isFound } from "../../bench/faults/failover/campaign.ts";
import { type ClusterFault, FOUND } from "../../bench/faults/failover/fault.ts";
import { faultNamed } from "../../bench/faults/failover/kinds.ts";
import { untilWhole } from "../../bench/faults/failover/nodes.ts";
import { type ClusterBug, clusterBugs } from "../../bench/faults/failover/planted.ts";
import { besiege } from "../../bench/faults/failover/siege.ts";
import { rowOf } from "../../bench/faults/row.ts";
import { atEnd, cleanUp } from "../../bench/harness/cleanup.ts";
import { nobody } from "../../bench/harness/embedded.ts";
import { printed } from "../../bench/harness/printed.ts";
import {
  CHECKOUT,
  ended,
  type How,
  processesOf,
  runSd,
  said,
  sd,
  signalGroup,
} from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { run, succeeds } from "../../db/embedded/run.ts";
import { type Cluster, findCluster, removeCluster } from "../cluster/cluster.ts";
import type { Node } from "../cluster/layout.ts";
import { missingPackages } from "../cluster/packages.ts";
import { leaderOf, synchronousOf } from "../cluster/patroni.ts";
import { readEnv } from "../env.ts";
import { cluster } from "./cluster.ts";

const missing = missingPackages();
const options = { skip: missing.length > 0 ? `needs ${missing.join(", ")}` : false };

after(cleanUp);

/** A data directory whose cluster is gone at the end, whatever happened. */
async function newDataDir(): Promise<string> {
  const dataDir = join(await temporaryDirectory(), "ü #1: x"); // YAML has other uses for some of these
  await mkdir(dataDir);
  atEnd(() => removeCluster({ dataDir }));
  return dataDir;
}

/** Starts what does not run, as a user does, and returns what ./sd says. */
async function start(how: How): Promise<string> {
  const { status, stdout, stderr } = await runSd(["cluster"], how);
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  return stdout;
}

/** How long the start took, as it says. */
function upIn(said: string): string {
  const [, took] = said.match(/^up in ([\d.]+ s): n\d leads, a commit waits for n\d$/m) ?? [];
  assert.ok(took, said);
  return took;
}

async function uidOf(pid: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(status.match(/^Uid:\s+(\d+)/m)?.[1]);
}

/** Promises about time: a busy machine breaks them. The whole run of ./sd faults --cluster looks at them. */
const OF_TIME = ["answered_in_time", "live_again"];
const SIEGE = { seed: 1, strokes: 1, isShort: true };

test("a cluster: up, a switchover and a dead standby under load, a planted bug, down", options, async (t) => {
  const dataDir = await newDataDir();
  const how = { dataDir };
  /** Runs another subcommand in this process, and returns what it says. */
  const say = async (...args: string[]) =>
    (await printed(t, () => cluster(readEnv({ DATA_DIR: dataDir }, ""), args))).join("\n");
  const up = await start(how);
  assert.match(up, /\n {2}n\d: leader\n/);
  t.diagnostic(`up in ${upIn(up)}`);
  const found = (await findCluster({ dataDir })) as Cluster;

  // On a busy machine a node may be late in telling the others that it runs.
  let status = "";
  await until(
    async () => {
      status = await say("status");
      return !/^n\d +not running$/m.test(status);
    },
    () => status,
  );
  assert.match(status, /^n\d +leader, timeline \d+, 0 bytes behind$/m);
  assert.match(status, /^n\d +standby, timeline \d+, \d+ bytes behind$/m);
  const [, synchronous] = status.match(/^(n\d) +synchronous, timeline \d+, \d+ bytes behind$/m) ?? [];
  assert.match(status, new RegExp(`^commit +waits for synchronous \\(${synchronous}\\)$`, "m"));
  assert.equal(status.match(/, ready$/gm)?.length, 2);
  const [, other = ""] = status.match(/^(n\d) +standby,/m) ?? [];
  await assert.rejects(say("switchover", other), {
    message: `a commit waits for ${synchronous}, and ${other} may lack what was acknowledged: only ${synchronous} can take over`,
  });

  const switchover = {
    ...faultNamed("switchover"),
    async strike() {
      const leader = leaderOf(await found.nodes()) as Node;
      const { own } = await found.pids(leader);
      const told = await say("switchover");
      const [, to, from] = told.match(/^(n\d) leads, after (n\d); /) ?? [];
      assert.ok(to !== undefined && to !== from && from === leader, told);
      await untilWhole(found);
      // Were Patroni asked to switch over, the third node might sleep for 2 s.
      assert.notDeepEqual((await found.pids(leader)).own, own, "its Patroni was restarted");
      assert.equal(leaderOf(await found.nodes()), to);
    },
  };
  const foundAfter = [await losesNothing(switchover)];
  // A busy machine may hold up the servers and HAProxy, which are other processes: one of three may be late.
  if (foundAfter.some((seconds) => seconds > FOUND))
    for (let i = 0; i < 2; i++) foundAfter.push(await losesNothing(switchover));
  const late = foundAfter.filter((seconds) => seconds > FOUND);
  assert.ok(late.length < 2, `the new leader was found after ${late.join(" and ")} s`);
  // One right after the other: etcd does not yet say who may lead.
  for (let i = 0; i < 2; i++) assert.match(await say("switchover"), /^n\d leads, after n\d; /);
  await losesNothing(faultNamed("standby killed"));
  await killOne();
  await killPatroni();
  await findsBug("no fence");

  assert.equal(await say("stop"), "stopped the cluster");
  assert.deepEqual(processesOf(dataDir), []);
  const stopped = await printed(t, () => cluster(readEnv({ DATA_DIR: dataDir }, ""), ["status"]), 1);
  assert.match(stopped.join("\n"), /^n1 +not running\n[\s\S]*^commit +impossible: no node leads$/m);
  assert.equal(await say("stop"), "nothing was running");
  await say("reset", "--yes");
  assert.deepEqual(await readdir(dataDir), ["token.secret"]);

  /**
   * What everybody was told, who uses, restocks, hangs up and asks again meanwhile, is held against the rows of who leads in the end. Returns
   * how soon the service was there after the leader, s.
   */
  async function losesNothing(fault: ClusterFault): Promise<number> {
    const { verdict, history, figures } = await besiege(fault, found, SIEGE);
    t.diagnostic(`${fault.name}: ${JSON.stringify(figures)}`);
    assert.deepEqual(
      verdict.violations.filter(({ invariant }) => !OF_TIME.includes(invariant)),
      [],
    );
    const { lost, overIssued, acknowledged } = rowOf(fault.name, 1, verdict.violations, history);
    assert.deepEqual([lost, overIssued, figures.wrongRefusals], [0, 0, 0]);
    assert.ok(acknowledged > 0 && history.strokes.length === 1);
    assert.ok(verdict.checked.grant_is_kept > 0 && verdict.checked.refusal_is_true > 0);
    return figures.found;
  }

  async function findsBug(name: string): Promise<void> {
    const bug = clusterBugs.find((each) => each.name === name) as ClusterBug;
    const lines: string[] = [];
    assert.ok(await isFound(found, bug, SIEGE.seed, (line) => void lines.push(line)), lines.join("\n"));
  }

  /** The cluster is whole again after a start. */
  async function killOne(): Promise<void> {
    const lost = synchronousOf(await found.nodes()) as Node;
    assert.match(await say("kill", lost), new RegExp(`^killed ${lost}; `));
    await until(
      async () => synchronousOf(await found.nodes()) !== undefined,
      "a commit waits for the other standby",
    );
    const now = await say("status");
    assert.match(now, new RegExp(`^${lost} +not running$`, "m"));
    assert.doesNotMatch(now, new RegExp(`^commit .*${lost}`, "m"));
    await assert.rejects(found.kill(lost), { message: `${lost} does not run` });
    await start(how);
    assert.match(await say("status"), new RegExp(`^${lost} +(standby|synchronous), timeline `, "m"));
  }

  /** PostgreSQL goes on without it, and the next Patroni takes it over. */
  async function killPatroni(): Promise<void> {
    const node = synchronousOf(await found.nodes()) as Node;
    const { own, postgres } = await found.pids(node);
    for (const pid of own) process.kill(pid, "SIGKILL");
    await until(async () => !(await found.isRunning(node)), `Patroni of ${node} is gone`);
    await start(how);
    assert.deepEqual((await found.pids(node)).postgres, postgres);
  }
});

test(
  "an ordinary user's cluster: Ctrl-C while it comes up leaves nothing, and then it comes up",
  options,
  async (t) => {
    const dataDir = await newDataDir();
    const account: { uid?: number; gid?: number } = process.getuid?.() === 0 ? nobody : {};
    if (!(await succeeds(run("/bin/sh", ["-c", 'cd -- "$1"', "sh", CHECKOUT], account))))
      return t.skip("nobody can't read this checkout");
    if (account === nobody) await chown(dataDir, nobody.uid, nobody.gid);
    const how = { dataDir, account };
    const interrupted = sd(["cluster", "start"], how);
    // It ends what sets up, too: that is no failure of it.
    await said(interrupted, "set-up: migrations");
    signalGroup(interrupted.child, "SIGINT");
    assert.equal(await ended(interrupted), 130, interrupted.stderr);
    assert.deepEqual(processesOf(dataDir), []);
    assert.deepEqual(await readdir(dataDir), ["token.secret"]);

    t.diagnostic(`up in ${upIn(await start(how))}`);
    const { status, stdout } = await runSd(["cluster", "status"], how);
    assert.deepEqual([status, stdout.match(/, ready$/gm)?.length], [0, 2], stdout);
    const uids = await Promise.all(processesOf(dataDir).map(uidOf));
    assert.deepEqual([...new Set(uids)], [account.uid ?? process.getuid?.()]);
    assert.deepEqual(await runSd(["cluster", "stop"], how), {
      status: 0,
      stdout: "stopped the cluster\n",
      stderr: "",
    });
    assert.deepEqual(processesOf(dataDir), []);
  },
);
