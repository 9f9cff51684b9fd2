/** Who else is against the service: hostile clients and callers without a right, as the tests have them, and the fuzzer. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { fuzz } from "../fuzz/fuzz.ts";
import { summaryOf, sumsOf } from "../fuzz/report.ts";
import { Found } from "../fuzz/run.ts";

/** That of ./sd test: there each file is a suite, whose hooks wait for one another. At the top of a file that node runs alone they do not. */
const RUNNER = "bench/harness/runner.ts";

export const TESTS = [
  "server/http/hostile.long.test.ts",
  "server/http/wire.test.ts",
  "server/http/rate-limit.test.ts",
  "server/routes/rights.test.ts",
  "server/security.test.ts",
  "server/auth/auth.test.ts",
  "bench/harness/dependencies.test.ts",
  "sql/security.test.ts",
];

export async function testsPass(): Promise<boolean> {
  console.log(`\n${TESTS.join(" ")}`);
  const node = spawn(process.execPath, [...TYPESCRIPT, RUNNER, ...TESTS], { stdio: "inherit" });
  const [code] = await once(node, "exit");
  return code === 0;
}

export async function fuzzFindsNothing(inputs: number, seed: number, serverUrl: string): Promise<boolean> {
  console.log("\nfuzz");
  try {
    const run = await fuzz({ inputs, seed, serverUrl }, (line) => console.log(line));
    console.log(summaryOf(sumsOf(run)));
    return true;
  } catch (error) {
    if (!(error instanceof Found)) throw error;
    console.log(`WRONG: ${error.message}`);
    return false;
  }
}
