import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Stall, timed, watchStalls } from "./stalls.ts";
import { until } from "./waiting.ts";

/** Its event loop stands still, but other threads of the process may compute, which load modules: then it is no stall. */
const stand = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

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
  await until(async () => {
    const began = performance.now();
    stand(300);
    const ended = performance.now();
    await sleep(50); // it is seen at the next tick
    return stalls.some((stall) => stall.from <= began && stall.until >= ended);
  }, "a stall is seen");
  end();
});

test("what takes its time in a process that stands still is not blamed for that", async () => {
  await until(async () => {
    const began = performance.now();
    const took = await timed(async () => {
      await sleep(1);
      stand(600);
    });
    assert.ok(took >= 0);
    return took <= performance.now() - began - 600;
  }, "it is not blamed");
});
