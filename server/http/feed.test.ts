import assert from "node:assert/strict";
import { test } from "node:test";
import { createFeed, type FeedTimes } from "./feed.ts";

interface State {
  n: number;
  at: number;
}

const TIMES: FeedTimes = { every: 5, heartbeat: 1_000, life: 60_000 };

const told = (n: number, at: number) => `event: state\ndata: {"n":${n},"at":${at}}\n\n`;

/** A feed of a state that the test sets, and how often it was read. */
function newFeed(times: Partial<FeedTimes> = {}) {
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
    { ...TIMES, ...times },
  );
  return { feed, world };
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

/** Until so many reads were made from now on. */
async function afterReads(world: { reads: number }, more: number): Promise<void> {
  const goal = world.reads + more;
  while (world.reads < goal) await new Promise((resolve) => setImmediate(resolve));
}

test("first the state as it is, then each one that differs", async () => {
  const { feed, world } = newFeed();
  const watcher = watch({ feed });
  assert.equal(await watcher.next(), "retry: 1000\n\n");
  assert.equal(await watcher.next(), told(1, 1));
  await afterReads(world, 5);
  world.n = 2;
  assert.match((await watcher.next()) ?? "", /^event: state\ndata: \{"n":2,"at":\d+\}\n\n$/);
  feed.end();
  assert.equal(await watcher.next(), undefined);
});

test("who comes later is told the state as it is then, though nothing of it has changed", async (t) => {
  const { feed } = newFeed({ every: 60_000 });
  t.after(feed.end);
  const first = watch({ feed });
  await first.next();
  assert.equal(await first.next(), told(1, 1));
  const later = watch({ feed });
  await later.next();
  assert.equal(await later.next(), told(1, 2));
});

test("however many come, who watches already is told once a turn", async (t) => {
  const { feed, world } = newFeed({ every: 60_000 });
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
  const { feed, world } = newFeed();
  t.after(feed.end);
  const first = watch({ feed });
  await first.next();
  assert.equal(await first.next(), told(1, 1));
  world.error = new Error("no database");
  const later = watch({ feed });
  await later.next();
  const state = later.next();
  while (world.failures.length < 3) await new Promise((resolve) => setImmediate(resolve));
  world.error = undefined;
  const [, at] = (await state)?.match(/"n":1,"at":(\d+)/) ?? [];
  assert.ok(Number(at) > 3, at);
});

test("one read serves all, and none is made when nobody watches", async () => {
  const { feed, world } = newFeed();
  const all = Array.from({ length: 5 }, () => watch({ feed }));
  for (const { next } of all) await next();
  const states = await Promise.all(all.map(({ next }) => next()));
  // Those who came while the first one's state was read share the next one.
  assert.deepEqual(states, [told(1, 1), ...Array(4).fill(told(1, 2))]);
  for (const { cancel } of all) await cancel();
  assert.equal(feed.watchers(), 0);
  await afterReads(world, 0);
  await new Promise((resolve) => setTimeout(resolve, 4 * TIMES.every));
  const reads = world.reads;
  await new Promise((resolve) => setTimeout(resolve, 4 * TIMES.every));
  assert.equal(world.reads, reads);
  const again = watch({ feed });
  await again.next();
  assert.match((await again.next()) ?? "", /"n":1/, "and who comes later is served again");
  feed.end();
});

test("who reads slowly misses states, not the latest, and nothing piles up", async () => {
  const { feed, world } = newFeed();
  const watcher = watch({ feed });
  for (let n = 2; n <= 50; n++) {
    world.n = n;
    await afterReads(world, 1);
  }
  await afterReads(world, 1);
  assert.equal(await watcher.next(), "retry: 1000\n\n");
  assert.match((await watcher.next()) ?? "", /"n":50/);
  feed.end();
  assert.equal(await watcher.next(), undefined);
});

test("without news a heartbeat; who doesn't read for two of them is left", async () => {
  const { feed } = newFeed({ heartbeat: 20 });
  const [reading, silent] = [watch({ feed }), watch({ feed })];
  await reading.next();
  await reading.next();
  assert.equal(await reading.next(), ":\n\n");
  while (feed.watchers() === 2) await reading.next();
  assert.equal(await silent.next(), "retry: 1000\n\n");
  assert.equal(await silent.next(), undefined);
  feed.end();
});

test("a stream ends after its life", async () => {
  const { feed } = newFeed({ life: 20 });
  const watcher = watch({ feed });
  for (;;) if ((await watcher.next()) === undefined) break;
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
  const { feed, world } = newFeed();
  world.error = new Error("no database");
  const watcher = watch({ feed });
  await watcher.next();
  await afterReads(world, 2);
  assert.equal(world.failures[0], world.error);
  world.error = undefined;
  assert.match((await watcher.next()) ?? "", /"n":1/);
  feed.end();
});
