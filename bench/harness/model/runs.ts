/**
 * Runs of the service against its model. One after another, every answer is the model's. From several sessions at once, some order of
 * all answers must explain each of them: an order in which nothing comes before what had ended when it began (linearizability,
 * Herlihy and Wing 1990; searched as by Wing and Gong 1993).
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { Command, Row } from "./commands.ts";
import { mix } from "./drawn.ts";
import { createFeed, readFeed } from "./feed.ts";
import { isMember } from "./groups.ts";
import { answer, claim } from "./model.ts";
import { ask, type Service } from "./service.ts";
import { closed, heldBy, type Model, spent } from "./state.ts";
import { ALL, createTrail, readTrail } from "./trail.ts";

// biome-ignore format: a table
export const alone = mix(5, 7, {
  create: 8, createAgain: 1, issue: 6, issueAll: 6, use: 6, undo: 3, useClaim: 7, undoClaim: 7, pause: 3, resume: 3, setCount: 4, setExpiry: 3,
  setStart: 5, edit: 4, withdraw: 2, plan: 5, unplan: 1, fill: 3, preview: 2, copyDay: 2, wallet: 2, live: 1, upcoming: 1, find: 1, list: 2, stats: 1, timeline: 1, importUsers: 1, forget: 1, midnight: 3, expire: 3,
  setGroup: 4, addTo: 3, removeFrom: 1, listGroup: 1, listGroups: 2, beginEarly: 4,
  resolve: 8, findSubjects: 1, forgetSubject: 4, recordKey: 2, revokeKey: 2, listKeys: 1,
  revokedKeys: 1, subjectsAge: 2, forgetSubjects: 2, importIncoming: 2, status: 1,
  claimSecrets: 1, rotateSecret: 3, retireSecret: 3, setWebhook: 4, ofWebhook: 8, listWebhooks: 1, demand: 5, demandAges: 2, foldDemand: 2,
  listPlan: 1, listUsers: 1, listGrants: 1, summary: 2, longAgo: 4, fold: 2, retire: 5,
});

/** Every outcome that was seen, to know that the sequences reach them all. */
export const reached = new Set<string>();

/** The feed and the audit are read after every so many commands, and at the end, in pages of so many rows; and of the audit only some. */
const reading = fc.record({
  every: fc.integer({ min: 1, max: 60 }),
  size: fc.constantFrom<number>(1, 2, 3, 7, 1_000),
  some: fc.record({
    coupon: fc.option(fc.integer({ min: 1, max: 7 })),
    user: fc.option(fc.integer({ min: 1, max: 5 })),
    newest: fc.option(fc.integer({ min: 1, max: 9 })),
  }),
});

export type Reading = typeof reading extends fc.Arbitrary<infer Value> ? Value : never;

export function oneAfterAnother({ scratch, open }: Service) {
  const all = fc.noBias(fc.array(alone, { minLength: 20, maxLength: 60 }));
  return fc.asyncProperty(all, reading, async (commands, { every, size, some }) => {
    const model = await open();
    const [feed, trail] = [createFeed(model), createTrail()];
    const { admin, owner } = scratch;
    for (const [i, command] of commands.entries()) {
      const check = async () => {
        assert.deepEqual(await readFeed(admin, size), feed.read(), `events after ${i + 1}`);
        assert.deepEqual(await readTrail(admin, owner, some, size), trail.read(some), `audit after ${i + 1}`);
      };
      // Grants of what has been over for a month are no news.
      if (command.call === "long_ago") await check();
      const before = structuredClone(model);
      const rows = await ask(admin, owner, command);
      assert.deepEqual(rows, answer(model, command, rows), JSON.stringify(command));
      for (const { outcome } of rows) reached.add(`${command.call}: ${outcome}`);
      feed.note(before, model, command);
      trail.note(before, model, command, rows);
      if (i % every === every - 1 || i === commands.length - 1) await check();
    }
    assert.deepEqual(await readTrail(admin, owner, ALL, 1_000), trail.read(), "audit");
    assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
  });
}

export interface Call {
  session: number;
  command: Command;
  rows: Row[];
  start: number;
  end: number;
}

/** What must be placed in an order: one thing that a call did, in one step or in two. */
interface Item {
  start: number;
  end: number;
  steps: ((model: Model) => boolean)[];
}

/**
 * A batch answers each of its users as if they had asked one after another, hence an item each. A batch that grants
 * nothing takes no lock: it reads the coupon first and the users' day later, so that daily_limit_reached rests on two
 * instants.
 */
function items({ command, rows, start, end }: Call): Item[] {
  if (command.call !== "issue_coupon" && command.call !== "issue_coupons")
    return [{ start, end, steps: [(model) => isDeepStrictEqual(rows, answer(model, command, rows))] }];
  const users = command.call === "issue_coupon" ? [command.user] : command.users;
  if (rows.length !== users.length) return [{ start, end, steps: [() => false] }];
  const couponOf = (model: Model) => model.coupons.find(({ coupon_id }) => coupon_id === command.coupon);
  return users.map((user, i) => {
    const row = rows[i] ?? {};
    const once = (model: Model) =>
      isDeepStrictEqual(row, claim(model, user, couponOf(model), row["issued_at"]));
    const isOpen = (model: Model) => {
      const c = couponOf(model);
      return c !== undefined && !closed(c, isMember(model, c, user));
    };
    const isSpent = (model: Model) => spent(model, user) && heldBy(model, user, command.coupon) === undefined;
    return { start, end, steps: row["outcome"] === "daily_limit_reached" ? [isOpen, isSpent] : [once] };
  });
}

/** Whether some order explains all answers, in which nothing comes before what had ended when it began. */
export function isExplained(calls: Call[], first: Model): boolean {
  const all = calls.flatMap(items);
  const seen = new Set<string>();
  const search = (done: number[], model: Model): boolean => {
    const open = all.flatMap((item, i) => (done[i] === item.steps.length ? [] : [{ item, i }]));
    if (open.length === 0) return true;
    const key = JSON.stringify([done, model]);
    if (seen.has(key)) return false;
    seen.add(key);
    const firstEnd = Math.min(...open.map(({ item }) => item.end));
    return open.some(({ item, i }) => {
      if (item.start > firstEnd) return false;
      const next = structuredClone(model);
      const step = done[i] ?? 0;
      return item.steps[step]?.(next) && search(done.with(i, step + 1), next);
    });
  };
  return search(
    all.map(() => 0),
    first,
  );
}

// biome-ignore format: a table
const contended = mix(3, 3, {
  issue: 8, issueAll: 6, use: 3, undo: 2, useClaim: 3, undoClaim: 2, pause: 3, resume: 3, setCount: 4, setExpiry: 1,
  setStart: 1, edit: 2, withdraw: 1, wallet: 1, live: 1, list: 1, stats: 1, create: 1, importUsers: 1, forget: 1,
  resolve: 4, findSubjects: 1, forgetSubject: 1, recordKey: 1, revokeKey: 2,
});

/** What each session asks; few commands each, because the search is exponential in them. */
const lists = fc.oneof(
  fc.array(fc.array(contended, { minLength: 2, maxLength: 4 }), { minLength: 3, maxLength: 3 }),
  fc.array(fc.array(contended, { minLength: 1, maxLength: 2 }), { minLength: 4, maxLength: 6 }),
);

export function allAtOnce({ scratch, sessions, open }: Service) {
  const opening = fc.array(contended, { maxLength: 8 });
  return fc.asyncProperty(opening, lists, async (opening, lists) => {
    const model = await open(opening);
    const calls: Call[] = [];
    await Promise.all(
      lists.map(async (list, i) => {
        const session = sessions[i];
        assert.ok(session);
        for (const command of list) {
          const start = performance.now();
          const rows = await ask(session, scratch.owner, command);
          calls.push({ session: i, command, rows, start, end: performance.now() });
        }
      }),
    );
    assert.ok(isExplained(calls, model), calls.map((call) => JSON.stringify(call)).join("\n"));
    assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
  });
}
