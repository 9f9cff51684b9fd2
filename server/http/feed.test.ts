import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock } from "../../bench/harness/clock.ts";
import { createFeed } from "./feed.ts";

interface State {
  n: number;
  at: number;
}

const told = (n: number, at: number) => `event: state\ndata: {"n":${n},"at":${at}}\n\n`;

/** A feed of a state that the test sets, and how often it was read. */
function newFeed() {
  const clock = createClock();
  const world = { n: 1, reads: 0, error: undefined as Error | undefined, failures: [] as unknown[] };
  const read = async (): Promise<State> => {
    world.reads += 1;
    const state = { n: world.n, at: world.reads };
    await new Promise((resolve) => setImmediate(resolve)); // as a database takes its time
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

function watch({ feed }: Pick<ReturnType<typeof newFeed>, "feed">) {
  const reader = feed.watch().getReader();
  return {
    /** The next piece, undefined at the end. */
    next: async () => {
      const { value } = await reader.read();
      return value && new TextDecoder().decode(value);
    },
    cancel: () => reader.cancel(),
  };
}

test("first the state as it is, then each one that differs", async () => {
  const { clock, feed, world } = newFeed();
  const watcher = watch({ feed });
  assert.equal(await watcher.next(), "retry: 1000\n\n");
  assert.equal(await watcher.next(), told(1, 1));
  await clock.pass(5_000);
  assert.equal(world.reads, 6);
  world.n = 2;
  await clock.pass(1_000);
  assert.equal(await watcher.next(), told(2, 7));
  feed.end();
  assert.equal(await watcher.next(), undefined);
});

test("who comes later is told the state as it is then, though nothing of it has changed", async (t) => {
  const { feed } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  await first.next();
  assert.equal(await first.next(), told(1, 1));
  const later = watch({ feed });
  await later.next();
  assert.equal(await later.next(), told(1, 2));
});

test("however many come, who watches already is told once a turn", async (t) => {
  const { feed, world } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  await first.next();
  assert.equal(await first.next(), told(1, 1));
  const next = first.next();
  world.n = 2;
  const later = watch({ feed });
  await later.next();
  assert.equal(await later.next(), told(2, 2));
  feed.end();
  assert.equal(await next, undefined);
});

test("who comes while reads fail is told nothing that is old", async (t) => {
  const { clock, feed, world } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  await first.next();
  assert.equal(await first.next(), told(1, 1));
  world.error = new Error("no database");
  const later = watch({ feed });
  await later.next();
  const state = later.next();
  await clock.pass(2_000);
  assert.equal(world.failures.length, 3); // one when it came, and one a second
  world.error = undefined;
  await clock.pass(1_000);
  assert.equal(await state, told(1, 5));
});

test("one read serves all, and none is made when nobody watches", async () => {
  const { clock, feed, world } = newFeed();
  const all = Array.from({ length: 5 }, () => watch({ feed }));
  for (const { next } of all) await next();
  const states = await Promise.all(all.map(({ next }) => next()));
  // Those who came while the first one's state was read share the next one.
  assert.deepEqual(states, [told(1, 1), ...Array(4).fill(told(1, 2))]);
  for (const { cancel } of all) await cancel();
  assert.equal(feed.watchers(), 0);
  await clock.pass(1_000); // the turn that finds nobody
  const reads = world.reads;
  await clock.pass(60_000);
  assert.equal(world.reads, reads);
  const again = watch({ feed });
  await again.next();
  assert.match((await again.next()) ?? "", /"n":1/, "and who comes later is served again");
  feed.end();
});

test("who reads slowly misses states, not the latest, and nothing piles up", async () => {
  const { clock, feed, world } = newFeed();
  const watcher = watch({ feed });
  for (let n = 2; n <= 20; n++) {
    world.n = n;
    await clock.pass(1_000);
  }
  assert.equal(await watcher.next(), "retry: 1000\n\n");
  assert.equal(await watcher.next(), told(20, world.reads));
  feed.end();
  assert.equal(await watcher.next(), undefined);
});

test("without news a heartbeat after 15 s; who reads nothing for 30 s is left", async () => {
  const { clock, feed } = newFeed();
  const [reading, silent] = [watch({ feed }), watch({ feed })];
  for (let i = 0; i < 2; i++) await reading.next();
  for (let heartbeat = 1; heartbeat <= 2; heartbeat++) {
    const next = reading.next();
    await clock.pass(15_000);
    assert.equal(await next, ":\n\n");
    assert.equal(feed.watchers(), 2);
  }
  await clock.pass(1_000);
  assert.equal(feed.watchers(), 1);
  assert.equal(await silent.next(), "retry: 1000\n\n");
  assert.equal(await silent.next(), undefined);
  feed.end();
});

test("a stream ends after a quarter of an hour", async () => {
  const { clock, feed } = newFeed();
  const watcher = watch({ feed });
  const pieces: (string | undefined)[] = [];
  const ended = (async () => {
    while (pieces.at(-1) !== undefined || pieces.length === 0) pieces.push(await watcher.next());
  })();
  await clock.pass(15 * 60_000);
  assert.equal(feed.watchers(), 1);
  await clock.pass(1_000);
  await ended;
  assert.equal(feed.watchers(), 0);
});

test("whoever comes once it has ended is sent on at once", async () => {
  const { feed, world } = newFeed();
  feed.end();
  const watcher = watch({ feed });
  assert.equal(await watcher.next(), "retry: 1000\n\n");
  assert.equal(await watcher.next(), undefined);
  assert.deepEqual([feed.watchers(), world.reads], [0, 0]);
});

test("a read that fails is told, and the next state comes", async () => {
  const { clock, feed, world } = newFeed();
  world.error = new Error("no database");
  const watcher = watch({ feed });
  await watcher.next();
  await clock.pass(2_000);
  assert.deepEqual(world.failures, [world.error, world.error, world.error]);
  world.error = undefined;
  await clock.pass(1_000);
  assert.equal(await watcher.next(), told(1, 4));
  feed.end();
});
