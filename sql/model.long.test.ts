/** The service against a model of it, at length: random commands go to both, and every answer is compared. bench/harness/model says how. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Command } from "../bench/harness/model/commands.ts";
import { allAtOnce, oneAfterAnother, reached } from "../bench/harness/model/runs.ts";
import { SELDOM } from "../bench/harness/model/seldom.ts";
import { plant, service } from "../bench/harness/model/service.ts";

test("one after another: every answer is the model's, and every outcome is reached", async (t) => {
  const right = await service(t);
  await fc.assert(oneAfterAnother(right), { numRuns: 200, examples: [[SELDOM, { every: 40, size: 7 }]] });
  const outcomes = await right.scratch.admin`
    select replace(t.typname, '_outcome', '') || ': ' || e.enumlabel as outcome
    from pg_enum e join pg_type t on t.oid = e.enumtypid
    where t.typname like '%outcome'
      and t.typname not in ('set_time_zone_outcome', 'coupon_leases_outcome', 'import_incoming_users_outcome',
        'rotate_claim_secret_outcome', 'retire_claim_secret_outcome')
      -- Of two who retire at once.
      and (t.typname <> 'retire_coupons_outcome' or e.enumlabel <> 'busy')
      -- These are about no coupon and no user.
      and t.typname !~ 'webhook'
      -- Of a day on which clocks are changed, and of a copy with a long code.
      and (t.typname <> 'fill_days_outcome' or e.enumlabel not in ('not_after_start', 'code_too_long'))`;
  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome).filter((outcome) => !reached.has(outcome)),
    [],
  );
});

const BUGS = [
  [
    "issue_coupons",
    "a user that doesn't exist before sold_out",
    /(when [^']*'sold_out')(\s+)(when [^']*'user_not_found')/,
    "$3$2$1",
  ],
  [
    "issue_coupons",
    "replays that end at midnight",
    /not exists \(\s+select from coupon.user_coupons g\s+where g.coupon_id = issue_coupons.coupon_id(?= and g.user_id = any)/,
    "$& and g.issued_on = v_today",
  ],
  [
    "list_coupons",
    "a page that begins with the last one of the page before",
    /start_time < list_coupons.before/,
    "start_time <= list_coupons.before",
  ],
  ["coupon_timeline", "grants that nobody asked for", /asked := grants \+ refused/, "asked := refused"],
  [
    "gather_events",
    "changes that are told before the grants before them",
    /t.audit_id nulls first\)/,
    "t.audit_id nulls last)",
  ],
  [
    "events_after",
    "a page that begins with the last event of the page before",
    /> \(events_after.number, events_after.place\)$/m,
    ">= (events_after.number, events_after.place)",
  ],
  [
    "resolve_subjects",
    "a forgotten subject that is somebody new",
    /case when k.known is null then \(([^;]*?)\) end as forgotten/,
    "null::bigint as forgotten",
  ],
  [
    "retire_coupons",
    "sums of the last step alone",
    /issued = s.issued \+ excluded.issued/,
    "issued = excluded.issued",
  ],
  ["set_plan_entry", "an entry in its own way", / and p.slot <> v_new.slot/, ""],
] as const;

for (const [name, bug, right, wrong] of BUGS)
  test(`one after another goes red with ${bug}`, async (t) => {
    const broken = await service(t);
    await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(oneAfterAnother(broken), {
      ...{ seed: 1, numRuns: 200, endOnFailure: true },
      examples: [[SELDOM, { every: 40, size: 7 }]],
    });
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });
test("all at once: some order of the model explains every answer", async (t) => {
  // The same commands may race another way the next time, so there is nothing to shrink.
  await fc.assert(allAtOnce(await service(t)), { numRuns: 250, endOnFailure: true });
});

const RACES = [
  ["lock_issuing", "no lock", /lock table[^;]*;([^;]*) for no key update/, "$1"],
  ["lock_issuing", "no lock across coupons", /lock table[^;]*;/, ""],
  ["use_coupon", "a use that doesn't lock", /for no key update/, ""],
  [
    "resolve_subjects",
    "a subject that two see first",
    /on conflict on constraint subjects_pkey do nothing/,
    "",
  ],
] as const;

/** Six who resolve a subject at once: at random, two seldom see the same one first. */
const FIRST_SIGHTS = Array.from({ length: 50 }, (): [Command[], Command[][]] => [
  [],
  Array.from({ length: 6 }, () => [
    { call: "resolve_subjects", issuer: "https://id.example/", subjects: ["ann"], creating: true },
  ]),
]);

for (const [name, bug, right, wrong] of RACES)
  test(`all at once goes red with ${bug}`, async (t) => {
    const broken = await service(t);
    await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(allAtOnce(broken), {
      ...{ seed: 1, numRuns: 500, endOnFailure: true },
      examples: name === "resolve_subjects" ? FIRST_SIGHTS : [],
    });
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });
