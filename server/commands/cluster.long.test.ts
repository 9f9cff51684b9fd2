/** ./sd cluster: up, a drop while its leader changes, a node that dies, down. */
import assert from "node:assert/strict";
import { chown, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { atEnd, cleanUp, cleanUpOnSignals } from "../../bench/harness/cleanup.ts";
import { makeCoupon, makeUsers } from "../../bench/harness/coupons.ts";
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
import { userToken } from "../../bench/harness/tokens.ts";
import { until } from "../../bench/harness/waiting.ts";
import { connect } from "../../db/connect.ts";
import { run, succeeds } from "../../db/embedded/run.ts";
import { type Cluster, findCluster, removeCluster } from "../cluster/cluster.ts";
import { missingPackages } from "../cluster/packages.ts";
import { leaderOf, synchronousOf } from "../cluster/patroni.ts";
import { readEnv } from "../env.ts";
import { cluster } from "./cluster.ts";

const missing = missingPackages();
const options = { skip: missing.length > 0 ? `needs ${missing.join(", ")}` : false };

after(cleanUp);
cleanUpOnSignals();

/** A data directory whose cluster is gone at the end, whatever happened. */
async function newDataDir(): Promise<string> {
  const dataDir = await temporaryDirectory();
  atEnd(() => removeCluster({ dataDir }));
  return dataDir;
}

/** Starts what does not run, as a user does, and returns what ./sd says. */
async function start(how: How): Promise<string> {
  const { status, stdout, stderr } = await runSd(["cluster"], how);
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  return stdout;
}

interface Told {
  status: number;
  body: { outcome?: string; position?: number; coupon_id?: number };
}

/** Far beyond every deadline of the server's: it only ends a test that would wait for ever. */
const ANSWER_MS = 60_000;
const PAUSE_MS = 100;

/** Asks for one coupon, again and again until the answer says yes or no: through HAProxy, or one server by itself. */
function createCrowd({ url, servers }: Cluster, secret: string) {
  const ways = [url, ...servers];

  /** Undefined if the connection was lost. */
  async function once(user: number, coupon: number): Promise<Told | undefined> {
    try {
      const answer = await fetch(`${ways[user % ways.length]}/coupons/${coupon}/issue`, {
        method: "POST",
        headers: { authorization: `Bearer ${userToken(secret, user)}` },
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      const text = await answer.text();
      return { status: answer.status, body: answer.status < 500 ? JSON.parse(text) : {} };
    } catch (error) {
      assert.notEqual((error as Error).name, "TimeoutError", "nobody is left without an answer");
      return undefined;
    }
  }

  return async (user: number, coupon: number): Promise<Told> => {
    for (; ; await sleep(PAUSE_MS)) {
      const told = await once(user, coupon);
      if (told && told.status < 500) return told;
    }
  };
}

test("a cluster: up, a drop while the leader changes, a node that dies, down", options, async (t) => {
  const dataDir = await newDataDir();
  const how = { dataDir };
  /** Runs another subcommand in this process, and returns what it says. */
  const say = async (...args: string[]) =>
    (await printed(t, () => cluster(readEnv({ DATA_DIR: dataDir }, ""), args))).join("\n");
  assert.match(
    await start(how),
    /\n {2}n\d: leader\n[\s\S]*\nup in [\d.]+ s: n\d leads, a commit waits for n\d\n/,
  );
  const found = (await findCluster({ dataDir })) as Cluster;
  const secret = await readFile(join(dataDir, "token.secret"), "utf8");
  const admin = connect(found.target.as("coupon_admin"), { max: 2 });
  atEnd(() => admin.end({ timeout: 1 }));
  await makeUsers(
    admin,
    Array.from({ length: 9_000 }, (_, i) => i + 1),
  );
  const drop = await makeCoupon(admin, { code: "DROP", count: 25 });
  const large = await makeCoupon(admin, { code: "LARGE", count: 8_000, from: "-2 days" });

  const status = await say("status");
  assert.match(status, /^n\d +leader, timeline \d+, 0 bytes behind$/m);
  assert.match(status, /^n\d +standby, timeline \d+, \d+ bytes behind$/m);
  const [, synchronous] = status.match(/^(n\d) +synchronous, timeline \d+, \d+ bytes behind$/m) ?? [];
  assert.match(status, new RegExp(`^commit +waits for synchronous \\(${synchronous}\\)$`, "m"));
  assert.equal(status.match(/, ready$/gm)?.length, 2);

  await switchOver();
  await loseStandby();

  assert.equal(await say("stop"), "stopped the cluster");
  assert.deepEqual(processesOf(dataDir), []);
  assert.match(await say("status"), /^n1 +not running\n[\s\S]*^commit +impossible: no node leads$/m);
  assert.equal(await say("stop"), "nothing was running");
  await say("reset", "--yes");
  assert.deepEqual(await readdir(dataDir), ["token.secret"]);

  /** All the time new users get units of one coupon; 25 units of another are dropped as soon as nobody leads. */
  async function switchOver(): Promise<void> {
    const ask = createCrowd(found, secret);
    const told = new Map<number, Told>();
    let next = 1_000;
    let isOver = false;
    const stream = Promise.all(
      Array.from({ length: 5 }, async () => {
        while (!isOver) {
          const user = next++;
          told.set(user, await ask(user, large));
          await sleep(20);
        }
      }),
    );
    const leader = leaderOf(await found.nodes());
    const dropped = until(
      async () => (await sleep(PAUSE_MS)) || leaderOf(await found.nodes()) !== leader,
      "the leader has stepped down",
    ).then(() => Promise.all(Array.from({ length: 200 }, (_, i) => ask(i + 1, drop))));
    assert.match(await say("switchover"), new RegExp(`^n\\d leads, after ${leader}; `));
    const answers = await dropped;
    isOver = true;
    await stream;
    // Exactly 25, positions 1 to 25, and everybody else is told the truth.
    const granted = answers.filter(({ status }) => status < 300);
    assert.deepEqual(
      granted.map(({ body }) => body.position).sort((a, b) => Number(a) - Number(b)),
      Array.from({ length: 25 }, (_, i) => i + 1),
    );
    assert.deepEqual(
      answers.filter(({ status }) => status >= 300).map(({ status, body }) => `${status} ${body.outcome}`),
      Array.from({ length: 175 }, () => "409 sold_out"),
    );
    // The other coupon refuses nobody: it has units left.
    for (const [user, { status, body }] of told)
      assert.ok([200, 201].includes(status), `user ${user} was told ${status} ${body.outcome}`);

    // What was told is there, at its position, and nothing else.
    const promised = [
      ...answers.map((answer, i) => [drop, i + 1, answer] as const),
      ...[...told].map(([user, answer]) => [large, user, answer] as const),
    ]
      .filter(([, , { status }]) => status < 300)
      .map(([coupon, user, { body }]) => `${coupon} ${user} ${body.position}`);
    const rows = await admin`select coupon_id, user_id, position from coupon.user_coupons`;
    assert.deepEqual(
      rows.map((row) => `${row["coupon_id"]} ${row["user_id"]} ${row["position"]}`).sort(),
      promised.sort(),
    );
    assert.deepEqual([...(await admin`select * from reconcile()`)], []);
  }

  /** The standby that commits wait for dies: the other one takes its place, and the cluster is whole again after a start. */
  async function loseStandby(): Promise<void> {
    const lost = synchronousOf(await found.nodes()) as string;
    assert.match(await say("kill", lost), new RegExp(`^killed ${lost}; `));
    const ask = createCrowd(found, secret);
    const { status, body } = await ask(500, large);
    assert.ok([200, 201].includes(status), `${status} ${body.outcome}`);
    const now = await say("status");
    assert.match(now, new RegExp(`^${lost} +not running$`, "m"));
    assert.doesNotMatch(now, new RegExp(`^commit .*${lost}`, "m"));
    await assert.rejects(found.kill(lost as "n1"), { message: `${lost} does not run` });
    await start(how);
    assert.match(await say("status"), new RegExp(`^${lost} +(standby|synchronous), timeline `, "m"));
    assert.deepEqual([...(await admin`select * from reconcile()`)], []);
  }
});

test("Ctrl-C while an ordinary user's cluster comes up leaves nothing", options, async (t) => {
  const dataDir = await newDataDir();
  const account = process.getuid?.() === 0 ? nobody : {};
  if (!(await succeeds(run("/bin/sh", ["-c", 'cd -- "$1"', "sh", CHECKOUT], account))))
    return t.skip("nobody can't read this checkout");
  if (account === nobody) await chown(dataDir, nobody.uid, nobody.gid);
  const start = sd(["cluster", "start"], { dataDir, account });
  await said(start, "n1: ");
  signalGroup(start.child, "SIGINT");
  assert.equal(await ended(start), 130, start.stderr);
  assert.deepEqual(processesOf(dataDir), []);
  assert.deepEqual(await readdir(dataDir), ["token.secret"]);
});
