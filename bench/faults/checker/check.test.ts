/** The checker as a whole: what is right breaks nothing, and each promise is tested. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { check, INVARIANTS, PROMISES } from "./check.ts";
import {
  again,
  brokenIn,
  changed,
  counting,
  create,
  forget,
  forgotten,
  issue,
  issued,
  made,
  overloaded,
  refused,
  restock,
  unasked,
  unknown,
  use,
  used,
  withdraw,
  withdrawn,
  world,
} from "./world.ts";

/** Two units, four users, a use, retries and refusals: all right. */
const right = world(
  [
    [issue(1), issued(1)],
    [issue(2), unknown],
    [issue(2), again(2), { request: 1 }],
    [issue(3), refused("sold_out")],
    [issue(4), overloaded],
    [issue(4), refused("sold_out"), { request: 4 }],
    [issue(1), again(1)],
    [use(1), unknown],
    [use(1), used, { request: 7 }],
    [use(1, "other"), refused("already_used")],
    [issue(5), overloaded],
    [create(), { ...made, coupon: 3 } as typeof made],
    [{ ...withdraw, coupon: 3 } as typeof withdraw, withdrawn],
    [create("again"), { ...made, coupon: 4 } as typeof made],
    [withdraw, refused("has_grants")],
    [forget, forgotten],
    [{ kind: "plan", weekday: 5, message: "p", count: 7 }, changed],
    [
      { kind: "fill", last: "1970-01-02" },
      { is: "ok", outcome: "filled", days: { "1970-01-02": 5 } },
    ],
    [{ kind: "retire", before: "2026-01-01", most: 8 }, refused("busy")],
  ],
  [{ use_reference: "(forgotten)" }, {}],
  ({ counts, strokes, memory, old }, { coupons, ...state }) => {
    coupons.push(unasked(5, { message: "p", count: 7, start: Date.parse("1970-01-02") }));
    old.set(6, 10);
    state.old.push({ coupon: 6, isRetired: true, grants: 4, moved: 6 });
    counts.set(4, 2);
    coupons.push(unasked(4, { message: "again" }));
    strokes.push({ from: 1, until: 2, wellAt: 4, isServers: false });
    memory.push(100, 120, 110);
  },
);

test("a right history breaks nothing, and each promise was held against something", () => {
  const { violations, checked } = check(right.history, right.state);
  assert.deepEqual(violations, []);
  assert.deepEqual(
    Object.entries(checked).filter(([, times]) => times === 0),
    [],
  );
  assert.deepEqual(Object.keys(checked), INVARIANTS);
});

test("what is right breaks nothing: restocks that overlap, are refused or may be done late, a day that is spent", () => {
  const overlapping = (count: number) =>
    world(
      [
        [restock(5), changed, { invokedAt: 0, answeredAt: 9 }],
        [restock(7), changed, { invokedAt: 1, answeredAt: 2 }],
      ],
      [],
      counting(count),
    );
  assert.deepEqual([...brokenIn(overlapping(5)), ...brokenIn(overlapping(7))], []);
  const below = world(
    [
      [issue(1), issued(1)],
      [issue(2), issued(2)],
      [restock(1), refused("below_issued")],
    ],
    [{}, {}],
  );
  assert.deepEqual(brokenIn(below), []);
  // Their grant was made after the client had given up, and after the restock.
  const late = world(
    [
      [issue(1), issued(1)],
      [issue(2), issued(2)],
      [issue(3), refused("sold_out")],
      [issue(4), unknown],
      [restock(3), changed],
      [issue(4), again(3), { request: 3 }],
    ],
    [{}, {}, { user: 4 }],
    counting(3),
  );
  assert.deepEqual(brokenIn(late), []);
  const spent = world(
    [
      [issue(1, 2), issued(1)],
      [issue(1), refused("daily_limit_reached")],
    ],
    [{ coupon: 2 }],
  );
  assert.deepEqual(brokenIn(spent), []);
});

test("each check of a file is in the list of promises, and each file has its tests", async () => {
  const files = readdirSync(new URL("./", import.meta.url));
  const isInList = new Set<unknown>(Object.values(PROMISES).map((promise) => promise.check));
  const support = ["bounds.ts", "check.ts", "facts.ts", "starts.ts", "tills.ts", "took.ts", "world.ts"];
  const modules = files.filter((file) => !file.endsWith(".test.ts") && !support.includes(file));
  let count = 0;
  for (const file of modules) {
    assert.ok(files.includes(file.replace(".ts", ".test.ts")), `${file} has no tests`);
    for (const [name, exported] of Object.entries(await import(`./${file}`))) {
      assert.ok(isInList.has(exported), `${file}: ${name} is not in the list`);
      count += 1;
    }
  }
  assert.equal(count, INVARIANTS.length);
});
