/** ./sd faults in short: one stroke of one fault of each kind. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { runSd } from "../harness/sd.ts";
import { assault } from "./assault.ts";
import { names } from "./campaign.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { clusterNames } from "./failover/campaign.ts";
import type { Fault } from "./fault.ts";
import { CALLS, faults } from "./faults.ts";
import { changed } from "./planting.ts";
import { rowOf } from "./row.ts";
import { trial, unmadeOf } from "./trial.ts";

const SEED = 1;
/** By what its clients notice of it: attempts that were told that nothing was done, or not told what was. */
const SHORT = {
  "server killed": ["undone", "unknown"],
  "PostgreSQL killed": ["unknown"],
  resets: ["unknown"],
  "fsync error": ["unknown"],
  "no connection left": ["undone"],
  // Who can't notice it: that it jumped is seen by the stroke itself.
  "server's clock": [],
  "database's clock": [],
} as const;

let cluster: Promise<Cluster> | undefined;
const shared = () => {
  cluster ??= startCluster();
  return cluster;
};
after(async () => (await cluster)?.close());

test("./sd faults --help names each, and starts no database", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "coupon-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  for (const flag of ["--help", "-h"]) {
    const { status, stdout, stderr } = await runSd(["faults", flag], { dataDir });
    assert.equal(status, 0, stderr);
    for (const name of [...names, ...clusterNames]) assert.ok(stdout.includes(`\n  ${name}\n`), name);
  }
  assert.deepEqual(readdirSync(dataDir), []);
});

test("a run that would do nothing is refused: --quick plants no bugs", () => {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  for (const more of [[], ["--cluster"]]) {
    const args = [...TYPESCRIPT, main, ...more, "--quick", "planted bugs"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env: {}, encoding: "utf8" });
    assert.deepEqual(
      [status, stdout, stderr],
      [2, "", "faults: --quick has no planted bugs: leave it out\n"],
    );
  }
});

for (const fault of faults) {
  if (!(fault.name in SHORT)) continue;
  const needs = await fault.needs?.();
  test(`${fault.name}: ${fault.about}`, {
    skip: needs === undefined ? false : `needs ${needs}`,
  }, async () => {
    const run = await assault(fault, { seed: SEED, strokes: 1, isShort: true }, shared);
    assert.deepEqual(run.verdict.violations, []);
    const row = rowOf(fault.name, 1, run.verdict.violations, run.history);
    assert.equal(run.history.strokes.length, 1);
    assert.ok(row.acknowledged > 0, "nothing was acknowledged");
    for (const noticed of SHORT[fault.name as keyof typeof SHORT])
      assert.ok(row[noticed] > 0, `no attempt was ${noticed}: the fault did nothing`);
  });
}

test("commits that are not on disk when they are told: a crash loses what was acknowledged, and it is found", async (t) => {
  const fault = faults.find(({ name }) => name === "PostgreSQL killed") as Fault;
  // Nothing else writes it there soon: on a busy machine few are told of a grant within the usual 0.2 s before the crash.
  const late = { synchronous_commit: "off", wal_writer_delay: "10s" };
  const set = async (how: (name: keyof typeof late) => string) =>
    (await shared()).asSuperuser(async (sql) => {
      for (const name of Object.keys(late) as (keyof typeof late)[]) await sql.unsafe(how(name));
      await sql`select pg_reload_conf()`;
    });
  await set((name) => `alter system set ${name} = '${late[name]}'`);
  t.after(() => set((name) => `alter system reset ${name}`));
  const run = await assault(
    fault,
    {
      seed: SEED,
      strokes: 2,
      isShort: true,
      async plant({ owner }) {
        const text = await changed("sql/internal/commit_durably.sql", [
          `  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
`,
          "  perform set_config('synchronous_commit', 'off', true);\n",
        ]);
        await owner.unsafe(text).simple();
      },
    },
    shared,
  );
  assert.ok(rowOf(fault.name, 2, run.verdict.violations, run.history).lost > 0, "nothing was lost");
});

test(`${CALLS.name}: ${CALLS.about}`, async () => {
  const run = await trial({ seed: SEED, requests: 1_500, lives: 0 });
  assert.deepEqual(run.verdict.violations, []);
  assert.equal(new Set(run.history.attempts.map(({ request }) => request)).size, 1_500);
  assert.deepEqual(unmadeOf(run), []);
});
