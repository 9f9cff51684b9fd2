/** ./sd bench: the load scenarios. Each verifies the data afterwards; the exit status says whether all numbers are right. */
import { parseArgs } from "node:util";
import { type BurstOptions, type BurstResult, burst, defaults, quick } from "./burst.ts";
import * as sqlBench from "./sql.ts";

const USAGE = `usage: ./sd bench burst [--quick] [--requests N] [--users N] [--connections N] [--count N] [--seed N]
       ./sd bench sql [--quick]

  burst   a coupon goes live in the middle of a burst of issue requests: ${defaults.requests} requests of
          ${defaults.users} users for ${defaults.count} units; --quick: ${quick.requests} of ${quick.users}
  sql     what issue_coupons() costs a row at several batch sizes, against a bare insert of the same rows`;

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      requests: { type: "string" },
      users: { type: "string" },
      connections: { type: "string" },
      count: { type: "string" },
      seed: { type: "string" },
    },
  });
  if (positionals.length === 0) {
    console.log(USAGE);
  } else if (positionals.join() === "sql") {
    const { quick: isQuick, ...more } = values;
    if (Object.keys(more).length > 0) throw new Error(USAGE);
    printSql(await sqlBench.sql(isQuick ? sqlBench.quick : sqlBench.defaults, (line) => console.log(line)));
  } else {
    if (positionals.join() !== "burst") throw new Error(USAGE);
    const result = await burst(burstOptions(values), (line) => console.log(line));
    print(result);
    process.exitCode = result.failures.length === 0 ? 0 : 1;
  }
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}

function burstOptions({
  quick: isQuick,
  ...given
}: Record<string, string | boolean | undefined>): BurstOptions {
  const options = { ...defaults, ...(isQuick ? quick : {}) };
  for (const name of Object.keys(defaults) as (keyof BurstOptions)[]) {
    const text = given[name];
    if (text === undefined) continue;
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 1)
      throw new Error(`--${name} must be a whole number from 1 on`);
    options[name] = value;
  }
  if (options.requests < options.connections) throw new Error("--requests must be at least --connections");
  if (options.users > options.requests) throw new Error("--users must be at most --requests");
  if (options.count >= options.users)
    throw new Error("--count must be less than --users, or nobody is refused");
  return options;
}

function print({ options, volley, answers, before, secondsToSellOut, failures }: BurstResult): void {
  const { latency } = volley;
  const lines = [
    "",
    `${volley.requests} answers in ${volley.seconds.toFixed(2)} s: ${volley.perSecond.toFixed(0)} requests a second`,
    `latency ms  p50 ${latency.p50}  p90 ${latency.p90}  p99 ${latency.p99}  p99.9 ${latency.p999}  max ${latency.max}`,
    `went live after ${(before * 100).toFixed(0)} % of the answers, sold out ${(secondsToSellOut * 1000).toFixed(1)} ms later`,
    "",
    "status outcome           answers",
    ...Object.entries(answers)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, n]) => `${key.slice(0, 3)}    ${key.slice(4).padEnd(16)} ${String(n).padStart(8)}`),
    "",
    failures.length === 0
      ? `exact: ${options.count} rows, positions 1 to ${options.count}, ${options.count} answers 201 that match them, ` +
        "nobody twice, every other answer a correct refusal, reconcile() empty"
      : `WRONG (${failures.length}):\n${failures.slice(0, 20).join("\n")}`,
  ];
  console.log(lines.join("\n"));
}

function printSql({ version, sizes }: sqlBench.SqlResult): void {
  const spread = (figures: number[]) =>
    [sqlBench.middle(figures), figures[0] as number, figures.at(-1) as number]
      .map((us) => us.toFixed(1))
      .join(" | ");
  console.log(`
PostgreSQL ${version}, one session, durable commits; µs a row: median, fastest and slowest round

| batch | issue_coupons | fastest | slowest | bare insert | fastest | slowest | bare / issue_coupons |
| --- | --- | --- | --- | --- | --- | --- | --- |
${sizes.map(({ size, issue, bare, ratio }) => `| ${size} | ${spread(issue)} | ${spread(bare)} | ${ratio.toFixed(2)} |`).join("\n")}`);
}
