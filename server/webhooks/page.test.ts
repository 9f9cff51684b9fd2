/** Pages of events that are sent, with a receiver that hangs: what is told when, and what is not begun. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock, settled } from "../../bench/harness/clock.ts";
import type { Due, Stop } from "../database/webhooks.ts";
import { createPages } from "./page.ts";
import type { Posted, Target } from "./post.ts";

const TAKEN: Posted = { status: 204, error: null, wait: null, body: "" };
const NOT_SENT = { status: null, error: null, wait: null };
const UNDER_WAY = { status: null, error: null, wait: 60 };

/** A page with one event of each of these coupons, in this order. */
const pageOf = (...coupons: number[]) =>
  coupons.map(
    (coupon_id, i) =>
      ({
        event_id: `${i + 1}-0-${coupon_id}`,
        event: "issued",
        at: "2026-11-22T00:00:00Z",
        coupon_id,
        page_end: "99-0",
        is_dead: false,
      }) as unknown as Due,
  );

function sending(...pages: Due[][]) {
  const clock = createClock();
  const targets: (Target & { secrets: string[] })[] = [{ url: "https://crm.example/", secrets: ["whsec_1"] }];
  const posts: { id: string; url: string; answer: (posted: Posted) => void }[] = [];
  /** Until when the database is waited for. */
  const reading = { ends: Promise.resolve() };
  const told: { pageEnd: string | null; taken: readonly string[]; stopped: readonly Stop[] }[] = [];
  const failures: unknown[] = [];
  const abort = new AbortController();
  const { sendPage } = createPages({
    clock,
    log: { event: () => {}, failure: (error) => failures.push(error) },
    db: {
      webhookTarget: () => reading.ends.then(() => targets.at(-1)),
      nextWebhookEvents: async () => pages.shift() ?? [],
      tellWebhook: async (_sender, _name, { pageEnd, taken, stopped }) => {
        told.push({ pageEnd, taken: [...taken], stopped: [...stopped] });
        return { is_told: true, is_disabled: false };
      },
    },
    post: {
      post: ({ url }, { id }, signal) =>
        new Promise((answer) => {
          posts.push({ id, url, answer });
          signal?.addEventListener("abort", () => answer({ ...TAKEN, status: null, error: "aborted" }));
        }),
      close: () => {},
    },
  });
  const tenure = { sender: "s", holds: () => true, signal: abort.signal };
  const ids = () => posts.map(({ id }) => id);
  return { clock, targets, reading, posts, ids, told, failures, abort, page: () => sendPage("crm", tenure) };
}

test("after ten seconds what is done is told, and what hangs holds up its own coupon", async () => {
  const { clock, posts, ids, told, page } = sending(pageOf(1, 2), pageOf(1, 3));
  const first = page();
  await settled();
  posts[1]?.answer(TAKEN);
  await clock.pass(9_999);
  assert.deepEqual(told, []);
  await clock.pass(1);
  assert.equal(await first, true);
  assert.deepEqual(told, [
    { pageEnd: "99-0", taken: ["2-0-2"], stopped: [{ event_id: "1-0-1", ...UNDER_WAY }] },
  ]);
  // The next page comes while it is under way still: it is not sent twice.
  const second = page();
  await settled();
  assert.deepEqual(ids(), ["1-0-1", "2-0-2", "2-0-3"]);
  posts[2]?.answer(TAKEN);
  assert.equal(await second, true);
  assert.deepEqual(told[1], {
    pageEnd: "99-0",
    taken: ["2-0-3"],
    stopped: [{ event_id: "1-0-1", ...UNDER_WAY }],
  });
  posts[0]?.answer({ status: null, error: "no answer in 15 s", wait: null, body: "" });
  await settled();
  assert.deepEqual(told[2], {
    pageEnd: null,
    taken: [],
    stopped: [{ event_id: "1-0-1", status: null, error: "no answer in 15 s", wait: null }],
  });
});

test("what was not begun in ten seconds is no attempt, and eight are sent at once, late ones counted", async () => {
  const coupons = Array.from({ length: 20 }, (_, i) => i + 1);
  const { clock, posts, told, page } = sending(pageOf(...coupons), pageOf(30));
  const first = page();
  await clock.pass(10_000);
  await first;
  assert.equal(posts.length, 8);
  assert.deepEqual(
    told[0]?.stopped.map(({ wait }) => wait),
    [...Array(12).fill(null), ...Array(8).fill(60)],
  );
  const second = page();
  await settled();
  assert.equal(posts.length, 8);
  posts[0]?.answer(TAKEN);
  await settled();
  assert.deepEqual(told[1], { pageEnd: null, taken: ["1-0-1"], stopped: [] });
  assert.equal(posts.length, 9);
  posts[8]?.answer(TAKEN);
  assert.equal(await second, true);
});

test("of a coupon what was taken is told with what hangs, and no further event is begun", async () => {
  const { clock, posts, told, page } = sending(pageOf(1, 1, 1));
  const first = page();
  await settled();
  posts[0]?.answer(TAKEN);
  await clock.pass(10_000);
  await first;
  posts[1]?.answer(TAKEN);
  await settled();
  assert.equal(posts.length, 2);
  assert.deepEqual(told, [
    { pageEnd: "99-0", taken: ["1-0-1"], stopped: [{ event_id: "2-0-1", ...UNDER_WAY }] },
    { pageEnd: null, taken: ["2-0-1"], stopped: [{ event_id: "3-0-1", ...NOT_SENT }] },
  ]);
});

test("whose page ends while it is read where to is not sent", async () => {
  const { clock, posts, reading, told, page } = sending(pageOf(1, 1));
  const ended = page();
  await clock.pass(9_000);
  let goOn = () => {};
  reading.ends = new Promise((resolve) => {
    goOn = resolve;
  });
  posts[0]?.answer(TAKEN);
  await clock.pass(1_000);
  await ended;
  goOn();
  await settled();
  assert.equal(posts.length, 1);
  assert.deepEqual(
    told.map(({ taken, stopped }) => [taken, stopped]),
    [
      [["1-0-1"], [{ event_id: "2-0-1", ...UNDER_WAY }]],
      [[], [{ event_id: "2-0-1", ...NOT_SENT }]],
    ],
  );
});

test("another URL holds from the next event on", async () => {
  const { clock, targets, posts, page } = sending(pageOf(1, 1));
  const first = page();
  await clock.pass(1_000);
  targets.push({ url: "https://other.example/", secrets: ["whsec_2"] });
  posts[0]?.answer(TAKEN);
  await settled();
  posts[1]?.answer(TAKEN);
  await first;
  assert.deepEqual(
    posts.map(({ url }) => url),
    ["https://crm.example/", "https://other.example/"],
  );
});

test("who asks to wait is sent nothing of other coupons meanwhile; another URL is", async () => {
  const { targets, posts, ids, told, page } = sending(pageOf(1, 2, 2), pageOf(3), pageOf(4));
  const busy = { status: 429, error: "status 429", wait: 3_600, body: "" };
  const first = page();
  await settled();
  posts[0]?.answer(busy);
  await settled();
  posts[1]?.answer(TAKEN);
  await first;
  assert.deepEqual(told[0], {
    pageEnd: "99-0",
    taken: ["2-0-2"],
    stopped: [
      { event_id: "1-0-1", status: 429, error: "status 429", wait: 3_600 },
      { event_id: "3-0-2", ...NOT_SENT },
    ],
  });
  // From here on the database says it: it has pages again once that time is over, or somebody wants it at once.
  const second = page();
  await settled();
  // What was under way went to the one before: the new one has not asked for anything, and has not failed.
  targets.push({ url: "https://other.example/", secrets: [] });
  posts[2]?.answer(busy);
  await second;
  assert.deepEqual(told[1]?.stopped, [{ event_id: "1-0-3", ...NOT_SENT }]);
  const third = page();
  await settled();
  posts[3]?.answer(TAKEN);
  await third;
  assert.deepEqual(ids(), ["1-0-1", "2-0-2", "1-0-3", "1-0-4"]);
});

test("what the receiver at the URL before refuses for good says nothing of the one at the new URL", async () => {
  const { targets, posts, told, page } = sending(pageOf(1));
  const only = page();
  await settled();
  targets.push({ url: "https://other.example/", secrets: [] });
  posts[0]?.answer({ status: 410, error: "status 410", wait: null, body: "" });
  await only;
  assert.deepEqual(told[0]?.stopped, [{ event_id: "1-0-1", ...NOT_SENT }]);
});

test("a pause that the database is not told of yet runs out by itself, the longest of two", async () => {
  const { clock, posts, ids, page } = sending(pageOf(1, 2, 4), pageOf(3));
  const first = page();
  await clock.pass(10_000);
  await first;
  for (const [at, wait] of [3_600, 60].entries())
    posts[at]?.answer({ status: 429, error: "status 429", wait, body: "" });
  await settled();
  await clock.pass(3_599_999);
  assert.equal(await page(), false);
  await clock.pass(1);
  const second = page();
  await settled();
  assert.deepEqual(ids(), ["1-0-1", "2-0-2", "3-0-4", "1-0-3"]);
  for (const post of posts.slice(2)) post.answer(TAKEN);
  await second;
});

test("while what asked to wait may still have to be told, no page is read", async () => {
  const { clock, posts, ids, told, page } = sending(pageOf(1, 2), pageOf(3));
  const first = page();
  await clock.pass(10_000);
  await first;
  posts[0]?.answer({ status: 429, error: "status 429", wait: 3_600, body: "" });
  await settled();
  assert.equal(await page(), false);
  posts[1]?.answer(TAKEN);
  await settled();
  assert.deepEqual(
    told.map(({ stopped }) => stopped.map(({ wait }) => wait)),
    [[60, 60], [3_600], []],
  );
  const second = page();
  await settled();
  posts[2]?.answer(TAKEN);
  await second;
  assert.deepEqual(ids(), ["1-0-1", "2-0-2", "1-0-3"]);
});
