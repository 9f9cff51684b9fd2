import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { createClock } from "../../bench/harness/clock.ts";
import { createFeed, type Sink } from "./feed.ts";

interface State {
  n: number;
  at: number;
}

const told = (n: number, at: number) => `event: state\ndata: {"n":${n},"at":${at}}\n\n`;

/** A feed of a state that the test sets, and how often it was read. */
function newFeed() {
  const clock = createClock();
  const world = {
    n: 1,
    reads: 0,
    takes: undefined as Promise<void> | undefined,
    error: undefined as Error | undefined,
    failures: [] as unknown[],
  };
  const read = async (): Promise<State> => {
    world.reads += 1;
    const state = { n: world.n, at: world.reads };
    await world.takes; // as a database takes its time
    if (world.error) throw world.error;
    return state;
  };
  const feed = createFeed(
    { event: "state", read, gist: ({ n }) => n },
    (error) => void world.failures.push(error),
    clock,
  );
  return { clock, feed, world };
}

/** A response whose reader takes what was written when the test asks for it, or as it comes. */
function watch({ feed }: Pick<ReturnType<typeof newFeed>, "feed">, { isReading = true } = {}) {
  const events = new EventEmitter();
  const pieces: string[] = [];
  let waiting: ((piece: string | undefined) => void) | undefined;
  let untaken = 0;
  let isOver = false;
  const close = () => {
    isOver = true;
    waiting?.(undefined);
    events.emit("close");
  };
  const sink: Sink = {
    write(bytes) {
      assert.ok(!isOver, "nothing is written to what has ended");
      pieces.push(Buffer.from(bytes).toString());
      if (!isReading) untaken += bytes.length;
      if (waiting) waiting(pieces.shift());
      waiting = undefined;
    },
    get writableLength() {
      return untaken;
    },
    // Node ends a response once all of it was taken.
    end() {
      if (untaken === 0) close();
    },
    destroy: close,
    on: (event, then) => events.on(event, then),
  };
  feed.watch(sink);
  return {
    /** The next piece, undefined at the end. */
    next: async () =>
      pieces.length > 0 || isOver
        ? pieces.shift()
        : new Promise<string | undefined>((resolve) => {
            waiting = resolve;
          }),
    pieces,
    take(bytes = untaken) {
      untaken -= bytes;
    },
    /** It takes all, and is written as much again by somebody else. */
    takeAndRefill: () => events.emit("drain"),
    leave: close,
  };
}

const RETRY = "retry: 1000\n\n";

test("first the state as it is, then each one that differs", async () => {
  const { clock, feed, world } = newFeed();
  const watcher = watch({ feed });
  assert.equal(await watcher.next(), RETRY);
  assert.equal(await watcher.next(), told(1, 1));
  await clock.pass(5_000);
  assert.equal(world.reads, 6);
  world.n = 2;
  await clock.pass(1_000);
  assert.equal(await watcher.next(), told(2, 7));
  feed.end();
  assert.equal(await watcher.next(), undefined);
});

test("who comes later is told what is known, and within a second what is then, though nothing of it has changed", async (t) => {
  const { clock, feed, world } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  await clock.pass(999);
  const later = watch({ feed });
  assert.equal(await later.next(), RETRY + told(1, 1));
  await clock.pass(1);
  assert.equal(await later.next(), told(1, 2));
  await clock.pass(10_000);
  assert.deepEqual([first.pieces, later.pieces, world.reads], [[RETRY, told(1, 1)], [], 12]);
});

test("who comes while a state is read is told that one, and nobody twice", async (t) => {
  const { clock, feed } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  const second = watch({ feed });
  await clock.pass(0);
  assert.deepEqual([first.pieces, second.pieces], Array(2).fill([RETRY, told(1, 1)]));
});

test("who comes while reads fail is told nothing that is old", async (t) => {
  const { clock, feed, world } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  await clock.pass(0);
  world.error = new Error("no database");
  await clock.pass(1_000);
  const later = watch({ feed });
  await clock.pass(2_000);
  assert.equal(world.failures.length, 3);
  assert.deepEqual([first.pieces, later.pieces], [[RETRY, told(1, 1)], [RETRY]]);
  world.error = undefined;
  await clock.pass(1_000);
  assert.deepEqual(
    [first.pieces, later.pieces],
    [
      [RETRY, told(1, 1)],
      [RETRY, told(1, 5)],
    ],
  );
});

test("who comes while a read takes long is told nothing that is older than a second", async (t) => {
  const { clock, feed, world } = newFeed();
  t.after(feed.end);
  watch({ feed });
  await clock.pass(0);
  let answer = () => {};
  world.takes = new Promise((resolve) => {
    answer = resolve;
  });
  await clock.pass(1_500);
  const later = watch({ feed });
  assert.deepEqual(later.pieces, [RETRY]);
  answer();
  await clock.pass(0);
  assert.deepEqual(later.pieces, [RETRY, told(1, 2)]);
});

test("one read serves all, in turns that let others work, and none is made when nobody watches", async () => {
  const { clock, feed, world } = newFeed();
  const all = Array.from({ length: 300 }, () => watch({ feed }));
  await clock.pass(0);
  assert.equal(world.reads, 1);
  for (const { pieces } of all) assert.deepEqual(pieces, [RETRY, told(1, 1)]);
  for (const { leave } of all) leave();
  assert.equal(feed.watchers(), 0);
  await clock.pass(1_000); // the turn that finds nobody
  const reads = world.reads;
  await clock.pass(60_000);
  assert.equal(world.reads, reads);
  const again = watch({ feed });
  await clock.pass(0);
  assert.deepEqual(again.pieces, [RETRY, told(1, reads + 1)], "and who comes later is served again");
  feed.end();
});

test("who reads slowly misses states, not the latest, and nothing piles up", async () => {
  const { clock, feed, world } = newFeed();
  const watcher = watch({ feed }, { isReading: false });
  for (let n = 2; n <= 20; n++) {
    world.n = n;
    await clock.pass(1_000);
  }
  assert.deepEqual(watcher.pieces, [RETRY]);
  watcher.take();
  await clock.pass(1_000);
  assert.deepEqual(watcher.pieces, [RETRY, told(20, world.reads)]);
  watcher.take();
  await clock.pass(5_000);
  assert.equal(watcher.pieces.length, 2);
  feed.end();
});

test("without news a heartbeat each 15 s; who takes nothing for 30 s is left", async () => {
  const { clock, feed } = newFeed();
  const [reading, silent] = [watch({ feed }), watch({ feed }, { isReading: false })];
  await clock.pass(15_000);
  assert.deepEqual(reading.pieces.splice(0), [RETRY, told(1, 1), ":\n\n"]);
  await clock.pass(15_000);
  assert.deepEqual(reading.pieces.splice(0), [":\n\n"]);
  assert.equal(feed.watchers(), 2);
  await clock.pass(1_000);
  assert.equal(feed.watchers(), 1);
  assert.deepEqual([await silent.next(), await silent.next()], [RETRY, undefined]);
  feed.end();
});

for (const [what, take] of [
  ["a byte of what was written", ({ take }) => take(1)],
  ["all, and has as much again to take", ({ takeAndRefill }) => takeAndRefill()],
] as const satisfies [string, (watcher: ReturnType<typeof watch>) => unknown][])
  test(`who takes steadily but slowly stays, until it takes nothing for 30 s: ${what}`, async () => {
    const { clock, feed } = newFeed();
    const watcher = watch({ feed }, { isReading: false });
    for (let i = 0; i < 10; i++) {
      await clock.pass(29_000);
      take(watcher);
      await clock.pass(1_000);
      assert.equal(feed.watchers(), 1);
    }
    await clock.pass(29_000);
    assert.equal(feed.watchers(), 1);
    await clock.pass(2_000);
    assert.equal(feed.watchers(), 0);
    assert.deepEqual(watcher.pieces, [RETRY], "nothing more was written for it");
  });

for (const [random, minutes] of [
  [0, 15],
  [1, 10],
] as const)
  test(`a stream ends after ${minutes} minutes`, async (t) => {
    t.mock.method(Math, "random", () => random);
    const { clock, feed } = newFeed();
    watch({ feed });
    await clock.pass(minutes * 60_000);
    assert.equal(feed.watchers(), 1);
    await clock.pass(1_000);
    assert.equal(feed.watchers(), 0);
  });

test("whoever comes once it has ended is sent on at once", async () => {
  const { feed, world } = newFeed();
  feed.end();
  const watcher = watch({ feed });
  assert.equal(await watcher.next(), RETRY);
  assert.equal(await watcher.next(), undefined);
  assert.deepEqual([feed.watchers(), world.reads], [0, 0]);
});

test("when it ends, nobody waits for those who do not take what was written", async () => {
  const { clock, feed } = newFeed();
  const [reading, silent] = [watch({ feed }), watch({ feed }, { isReading: false })];
  await clock.pass(0);
  feed.end();
  assert.deepEqual(reading.pieces.splice(0), [RETRY, told(1, 1)]);
  assert.deepEqual(
    [await reading.next(), await silent.next(), await silent.next()],
    [undefined, RETRY, undefined],
  );
});

test("a read that is under way when it ends tells nobody, also if it fails, and none follows", async () => {
  for (const error of [undefined, new Error("the database was closed")]) {
    const { clock, feed, world } = newFeed();
    const watcher = watch({ feed });
    feed.end();
    world.error = error;
    await clock.pass(60_000);
    assert.deepEqual([watcher.pieces, world.reads, feed.watchers()], [[RETRY], 1, 0]);
    assert.deepEqual(world.failures, []);
  }
});

test("a read that fails is told, and the next state comes", async () => {
  const { clock, feed, world } = newFeed();
  world.error = new Error("no database");
  const watcher = watch({ feed });
  await clock.pass(2_000);
  assert.deepEqual(world.failures, [world.error, world.error, world.error]);
  world.error = undefined;
  await clock.pass(1_000);
  assert.deepEqual(watcher.pieces, [RETRY, told(1, 4)]);
  feed.end();
});
