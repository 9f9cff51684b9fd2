/** The table of a run on a cluster, its bars, and the README held against the results that are kept. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkBlock } from "../../harness/readme-blocks.ts";
import { changed } from "../planting.ts";
import { clusterNames } from "./campaign.ts";
import { clusterFaults, faultNamed } from "./kinds.ts";
import { clusterBugs, reconfigured } from "./planted.ts";
import {
  CLUSTER_README,
  type ClusterRow,
  clusterBlocks,
  missedBars,
  readClusterResults,
  renderClusterRows,
} from "./report.ts";

const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

const row: ClusterRow = {
  ...{ fault: "switchover", times: 2, requests: 4_000, acknowledged: 1_500, undone: 40, unknown: 3, done: 2 },
  ...{
    lost: 0,
    overIssued: 0,
    other: 0,
    recovery: 1,
    gap: 2.5,
    found: 0.2,
    ready: 0.4,
    unready: 0,
    wrongRefusals: 0,
    late: 0,
  },
};

test("a row with its bar", () => {
  assert.equal(
    renderClusterRows([row]).split("\n").at(-1)?.replace(/ +/g, " "),
    "| switchover | 2 | 4,000 | 1,500 | 40 | 3 | 0 | 0 | 0 | 0 | 0 | 2.50 | 3 | 0.20 | 0.40 | 1 | 0.00 |",
  );
});

test("bars that are missed, and none of the control", () => {
  assert.deepEqual(missedBars([row]), []);
  const late = { ...row, gap: 3.01, found: 2.01, ready: 1.1, unready: 1.2, late: 7 };
  assert.deepEqual(
    missedBars([
      late,
      { ...late, fault: "asynchronous" },
      { ...row, fault: "etcd away", gap: 30 },
      { ...row, fault: "both standbys killed", ready: 1 },
      { ...row, fault: "leader cut off", gap: 25.01, ready: 1.01 },
    ]),
    [
      "switchover: no 201 for 3.01 s, at most 3 s",
      "switchover: the primary was found after 2.01 s, at most 2 s",
      "switchover: `/readyz` wrongly 200 for 1.10 s, at most 1 s",
      "switchover: `/readyz` wrongly 503 for 1.20 s, at most 1 s",
      "switchover: 7 answers later than 8 s",
      "leader cut off: no 201 for 25.01 s, at most 25 s",
      "leader cut off: `/readyz` wrongly 200 for 1.01 s, at most 1 s",
    ],
  );
});

test("bench/faults/failover/README.md shows the faults, the bugs and the results that are kept", () => {
  const results = readClusterResults();
  for (const [name, block] of Object.entries(clusterBlocks(results))) checkBlock(CLUSTER_README, name, block);
  for (const { fault, lost, overIssued, other } of results?.rows ?? [])
    if (!faultNamed(fault).isControl) assert.deepEqual([lost, overIssued, other], [0, 0, 0], fault);
    else assert.ok(lost > 0, "the control lost something");
  for (const { bug, times, found } of results?.planted ?? []) assert.equal(found, times, bug);
});

test("README.md tells the times of the bars that the kept run misses, and how soon the servers went on", () => {
  const rows = (readClusterResults()?.rows ?? []).filter(({ fault }) => !faultNamed(fault).isControl);
  const missed = missedBars(rows).map((line) => Number(line.match(/ for ([\d.]+) s, at most /)?.[1]));
  const told = [...missed, Math.max(...rows.map(({ found }) => found))].map((s) => `${s.toFixed(2)} s`);
  const bullet = readme.split(/^- /m).find((each) => each.includes("`./sd faults --cluster`")) ?? "";
  assert.deepEqual([...bullet.matchAll(/\d+\.\d\d s/g)].map(String).sort(), told.sort());
});

test("README.md tells how many faults the kept run had, and when it was", () => {
  const results = readClusterResults();
  const rows = (results?.rows ?? []).filter(({ fault }) => !faultNamed(fault).isControl);
  const [, ...said] = readme.match(/`--cluster` under (\d+) of a cluster \((\S+)\)/) ?? [];
  assert.deepEqual(said, [`${rows.length}`, results?.date.slice(0, 10)]);
});

test("no two faults have one name, and each bug shows under one that there is", () => {
  assert.equal(new Set(clusterNames).size, clusterNames.length);
  for (const { name, fault } of clusterBugs) assert.ok(clusterFaults.includes(faultNamed(fault)), name);
});

for (const { name, changes, haproxy } of clusterBugs)
  test(`every text that "${name}" replaces is there`, async () => {
    for (const [file, parts] of Object.entries(changes)) await changed(file, ...parts);
    if (haproxy) reconfigured(await changed("server/cluster/haproxy.cfg"), haproxy);
  });
