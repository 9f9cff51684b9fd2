/** ./sd faults: the service under everything that is against it. The exit status: 1 when a promise was broken, 2 when it could not run. */
import { parseArgs } from "node:util";
import { cleanUpOnSignals } from "../harness/cleanup.ts";
import { machine } from "../harness/machine.ts";
import { campaign, LENGTHS, names, PLANTED } from "./campaign.ts";
import { clusterNames } from "./failover/campaign.ts";
import { runCluster } from "./failover/run.ts";
import { fuzzFindsNothing, testsPass } from "./others.ts";
import { keepResults, renderRows } from "./report.ts";

const USAGE = `usage: ./sd faults [--cluster] [--quick | --long] [--seed N] [fault …]

Strikes the running service with each fault, many times, under load, and holds every answer against the database. Then runs the
tests of hostile clients and of callers without a right, and ./sd fuzz with ${Object.values(LENGTHS)
  .map(({ inputs }) => inputs.toLocaleString("en"))
  .join(", ")} inputs. A quarter of an hour;
--quick: a few minutes; --long: an operator's night. The same seed gives the same requests, strokes and inputs. Faults that are
named are all that runs.

${names.map((name) => `  ${name}`).join("\n")}

--cluster: the faults of a cluster instead, on one of its own that is gone afterwards (etcd, three PostgreSQL nodes under Patroni, HAProxy, two
servers). About half an hour; --quick: some minutes, without planted bugs.

${clusterNames.map((name) => `  ${name}`).join("\n")}`;

cleanUpOnSignals();
try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      cluster: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      long: { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) console.log(USAGE);
  else await run(positionals, values);
} catch (error) {
  console.error(`faults: ${(error as Error).message}`);
  process.exitCode = 2;
}

async function run(
  given: string[],
  { cluster, quick, long, seed: text }: { cluster: boolean; quick: boolean; long: boolean; seed: string },
): Promise<void> {
  const known = cluster ? clusterNames : names;
  const unknown = given.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no such fault: ${unknown}; there are ${known.join(", ")}`);
  if (quick && long) throw new Error("--quick or --long, not both");
  // Otherwise it would do nothing, and say that nothing is wrong.
  if (quick && given.includes(PLANTED)) throw new Error(`--quick has no ${PLANTED}: leave it out`);
  if (!/^[0-9]{1,9}$/.test(text)) throw new Error("--seed must be a whole number");
  const url = process.env["SCRATCH_SERVER_URL"];
  if (!url) throw new Error("run this through ./sd: SCRATCH_SERVER_URL is not set");
  const length = quick ? "short" : long ? "long" : "usual";
  const seed = Number(text);
  const began = performance.now();
  const say = (line: string) =>
    console.log(`${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s  ${line}`);
  if (cluster) {
    if (!(await runCluster({ given, length, seed }, say))) process.exitCode = 1;
    return;
  }
  const date = new Date().toISOString();
  const wanted = new Set(given.length > 0 ? given : names);
  const { violations, ...found } = await campaign(wanted, seed, LENGTHS[length], say);
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(`\n${renderRows(found.rows)}\n`);
  const isAll = given.length === 0;
  if (violations.length > 0) console.log(`WRONG: ${violations.length} violations; nothing was kept`);
  else if (quick || !isAll)
    console.log("nothing is wrong; not kept, as only a run of all faults is, the usual or the long one");
  else {
    keepResults({ date, seed, seconds, length, machine: await machine(url), ...found });
    console.log("nothing is wrong; kept in bench/faults/results.json, and the README follows it");
  }
  const isRight = [
    violations.length === 0,
    ...(isAll ? [await testsPass(), await fuzzFindsNothing(LENGTHS[length].inputs, seed, url)] : []),
  ];
  if (isRight.includes(false)) process.exitCode = 1;
}
