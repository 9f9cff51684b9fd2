import assert from "node:assert/strict";
import { test } from "node:test";
import { type Stall, timed, watchStalls } from "./stalls.ts";

const next = () => new Promise((resolve) => setTimeout(resolve, 0));

test("a process that stands still has a stall; one that computes, or is late by less than 100 ms, has none", () => {
  let [time, cpu] = [1_000, 0];
  let tick = () => {};
  let isEnded = false;
  const stalls: Stall[] = [];
  const end = watchStalls(stalls, {
    now: () => time,
    cpu: () => cpu,
    every(ms, then) {
      assert.equal(ms, 20);
      tick = then;
      return () => {
        isEnded = true;
      };
    },
  });
  /** The next tick comes so much later, after so much CPU time. */
  const passes = (ms: number, used: number) => {
    time += ms;
    cpu += used;
    tick();
  };
  passes(20, 1);
  passes(320, 149); // from 1,020
  passes(320, 150); // computed for half of 300 ms
  passes(119, 0);
  passes(120, 0); // from 1,779
  assert.deepEqual(stalls, [
    { from: 1_020, until: 1_340 },
    { from: 1_779, until: 1_899 },
  ]);
  end();
  assert.ok(isEnded);
});

test("by the clocks of this process: it stood still, and used no CPU time", async () => {
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
