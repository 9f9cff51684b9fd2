import assert from "node:assert/strict";
import { test } from "node:test";
import { createFeed, type FeedTimes } from "./feed.ts";

interface State {
  n: number;
  at: number;
}

const TIMES: FeedTimes = { every: 5, heartbeat: 1_000, life: 60_000 };

/** A feed of a state that the test sets, and how often it was read. */
function newFeed({ max = 10, ...times }: Partial<FeedTimes> & { max?: number } = {}) {
  const world = { n: 1, reads: 0, error: undefined as Error | undefined, failures: [] as unknown[] };
  const read = async (): Promise<State> => {
    world.reads += 1;
    if (world.error) throw world.error;
    return { n: world.n, at: world.reads };
  };
  const feed = createFeed(
    { event: "state", read, gist: ({ n }) => n, max },
    (error) => void world.failures.push(error),
    { ...TIMES, ...times },
  );
  return { feed, world };
}

function watch({ feed }: Pick<ReturnType<typeof newFeed>, "feed">) {
  const stream = feed.watch();
  assert.ok(stream);
  const reader = stream.getReader();
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
  assert.equal(await watcher.next(), 'event: state\ndata: {"n":1,"at":1}\n\n');
  await afterReads(world, 5);
  world.n = 2;
  assert.match((await watcher.next()) ?? "", /^event: state\ndata: \{"n":2,"at":\d+\}\n\n$/);
  feed.end();
  assert.equal(await watcher.next(), undefined);
});

test("one read serves all, and none is made when nobody watches", async () => {
  const { feed, world } = newFeed();
  const all = Array.from({ length: 5 }, () => watch({ feed }));
  for (const { next } of all) await next();
  const states = await Promise.all(all.map(({ next }) => next()));
  assert.deepEqual([...new Set(states)], ['event: state\ndata: {"n":1,"at":1}\n\n']);
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

test("no more than so many, and none once it has ended", () => {
  const { feed } = newFeed({ max: 2 });
  assert.deepEqual([feed.watch(), feed.watch(), feed.watch()].map(Boolean), [true, true, false]);
  feed.end();
  assert.equal(feed.watch(), undefined);
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
