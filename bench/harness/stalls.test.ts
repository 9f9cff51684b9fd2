import assert from "node:assert/strict";
import { test } from "node:test";
import { type Stall, timed, watchStalls } from "./stalls.ts";

const next = () => new Promise((resolve) => setTimeout(resolve, 0));

test("a process that stands still has a stall, one that computes has none", async () => {
  const stalls: Stall[] = [];
  const end = watchStalls(stalls);
  await next();
  const from = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  const until = performance.now();
  while (!stalls.some((stall) => stall.until > until)) await next();
  const stall = stalls.find((each) => each.until > until) as Stall;
  assert.ok(stall.from <= from, `${stall.from} ${from}`);
  end();

  // By its own CPU time, whatever the others on the machine do.
  const computed: Stall[] = [];
  const endComputed = watchStalls(computed);
  await next();
  const { user } = process.cpuUsage();
  const began = performance.now();
  while (process.cpuUsage().user - user < 300_000);
  const share = 300 / (performance.now() - began);
  const counted = performance.now();
  for (let last = began; last < counted + 50; last = performance.now()) await next();
  endComputed();
  if (share > 0.7) assert.deepEqual(computed, []);
});

test("what takes its time in a process that stands still is not blamed for that", async () => {
  const stand = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  const began = performance.now();
  const took = await timed(async () => {
    await next();
    stand();
  });
  const lasted = performance.now() - began;
  assert.ok(took >= 0 && took <= lasted - 600, `${took} of ${lasted} ms`);
});
