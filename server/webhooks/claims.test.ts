/** How long a process sends, and what becomes of what is under way then: with a clock that stands still. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock, settled } from "../../bench/harness/clock.ts";
import type { Due, Webhook } from "../database/webhooks.ts";
import type { Posted } from "./post.ts";
import { createSender } from "./sender.ts";

const TAKEN: Posted = { status: 204, error: null, wait: null, body: "" };
const NOT_SENT = { status: null, error: null, wait: null };

/** A process that has a claim for six seconds each time it asks, and a page with two events of one coupon. */
function sending() {
  const clock = createClock();
  const posts: { id: string; isBrokenOff: boolean; answer: (posted: Posted) => void }[] = [];
  /** What the database was told, in this order. */
  const calls: unknown[] = [];
  /** How long the database takes for a claim, and for which webhook it is. */
  const claim: { takes: number; name: string | null } = { takes: 0, name: "crm" };
  const page = [1, 2].map(
    (number) =>
      ({
        event_id: `${number}-0-7`,
        event: "issued",
        at: "2026-11-22T00:00:00Z",
        coupon_id: 7,
        page_end: "99-0",
        is_dead: false,
      }) as unknown as Due,
  );
  const sender = createSender({
    clock,
    log: { event: () => {}, failure: assert.ifError },
    db: {
      claimWebhooks: async (_sender, isLeaving = false) => {
        if (isLeaving) {
          calls.push("leaves");
          return [];
        }
        await new Promise<void>((resolve) => void clock.after(claim.takes, resolve));
        return [{ webhook_name: claim.name, valid_for: 6 }];
      },
      listWebhooks: async () => [{ disabled_at: "2026-11-22T00:00:00Z", waiting: 2, dead: 3 } as Webhook],
      webhookTarget: async () => ({ url: "https://crm.example/", secrets: ["whsec_1"] }),
      nextWebhookEvents: async () => page.splice(0),
      tellWebhook: async (_sender, _name, { taken, stopped }) => {
        calls.push([...taken, ...stopped]);
        return { is_told: true, is_disabled: false };
      },
    },
    post: {
      post: (_target, { id }, signal) =>
        new Promise((answer) => {
          const post = { id, isBrokenOff: false, answer };
          posts.push(post);
          signal?.addEventListener("abort", () => {
            post.isBrokenOff = true;
            answer({ ...TAKEN, status: null, error: "aborted" });
          });
        }),
      close: () => {},
    },
  });
  sender.start();
  return { clock, posts, calls, claim, sender };
}

test("what is under way when the claim runs out is broken off, and is no attempt", async () => {
  const { clock, posts, calls, claim, sender } = sending();
  claim.takes = 2_000;
  await clock.pass(3_000);
  assert.deepEqual(
    posts.map(({ id }) => id),
    ["1-0-7"],
  );
  // The database is not reached any more. The six seconds began when it was asked: it may have answered at once.
  claim.takes = 600_000;
  await clock.pass(3_999);
  assert.equal(posts[0]?.isBrokenOff, false);
  await clock.pass(1);
  assert.equal(posts[0]?.isBrokenOff, true);
  assert.deepEqual(calls, [[{ event_id: "1-0-7", ...NOT_SENT }]]);
  assert.deepEqual(sender.figures.sent, { taken: 0, refused: 0, unanswered: 0 });
  assert.equal(posts.length, 1);
});

test("a process that ends begins nothing, tells what arrived, and leaves only then", async () => {
  const { clock, posts, calls, sender } = sending();
  await clock.pass(1_000);
  const ended = sender.end();
  await clock.pass(999);
  assert.deepEqual(calls, []);
  posts[0]?.answer(TAKEN);
  await ended;
  assert.equal(posts.length, 1);
  assert.deepEqual(calls, [["1-0-7", { event_id: "2-0-7", ...NOT_SENT }], "leaves"]);
});

test("nor does it leave before what was under way when its page ended; a second later that is broken off", async () => {
  const { clock, posts, calls, sender } = sending();
  await clock.pass(12_000);
  assert.deepEqual(calls.splice(0), [[{ event_id: "1-0-7", ...NOT_SENT, wait: 60 }]]);
  const ended = sender.end();
  await clock.pass(999);
  assert.deepEqual([posts[0]?.isBrokenOff, calls], [false, []]);
  await clock.pass(1);
  await ended;
  await settled();
  assert.deepEqual([posts[0]?.isBrokenOff, calls], [true, [[{ event_id: "1-0-7", ...NOT_SENT }], "leaves"]]);
});

test("where all are disabled, who would send tells how they are doing", async () => {
  const { clock, posts, calls, claim, sender } = sending();
  claim.name = null;
  await clock.pass(3_000);
  assert.deepEqual(sender.figures.state, { waiting: 2, dead: 3, disabled: 1, behind: 0 });
  await sender.end();
  assert.deepEqual([posts, calls], [[], ["leaves"]]);
});
