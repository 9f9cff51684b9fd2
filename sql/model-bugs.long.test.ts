/** The model finds bugs that are made on purpose in functions that are asked one after another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { oneAfterAnother } from "../bench/harness/model/runs.ts";
import { FIRST } from "../bench/harness/model/seldom.ts";
import { plant, service } from "../bench/harness/model/service.ts";

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
  [
    "audit_trail",
    "a page that begins with the last row of the page before",
    /\(a.at, a.id\) < \(/,
    "(a.at, a.id) <= (",
  ],
  [
    "set_coupon_expiry",
    "an audit of what became, twice",
    /'expiry', v_coupon.expiry/,
    "'expiry', set_coupon_expiry.expiry",
  ],
  [
    "undo_use",
    "an audit without a reason",
    /undo_use.reason, undo_use.actor\);/,
    "'because', undo_use.actor);",
  ],
  [
    "undo_use",
    "a late undo of whatever use is there",
    / or v_grant.used_date <> undo_use.only_used_date/,
    "",
  ],
  [
    "forget_user",
    "a name that stays in reasons",
    /foreach v_word in array v_words loop/,
    "foreach v_word in array v_words[2:] loop",
  ],
  ["edit_coupon", "metadata that stays", /coalesce\(edit_coupon.metadata, c.metadata\)/, "c.metadata"],
  [
    "edit_coupon",
    "a description that stays",
    /coalesce\(edit_coupon.description, c.description\)/,
    "c.description",
  ],
  [
    "create_coupon",
    "no warning of a start that is over",
    /when create_coupon.start_time <= v_now then/,
    "when false then",
  ],
  [
    "set_coupon_start",
    "no warning of a coupon that is to be had for a moment",
    /warning := case.*?end;/s,
    "",
  ],
  ["set_coupon_expiry", "no warning of an end that is near", /warning := case.*?end;/s, ""],
  ["set_coupon_group", "no warning of an empty group", /warning := case.*?end;/s, ""],
  ["make_coupons", "no warning of what is copied", /v_draft.warning := v_created.warning;/, ""],
  [
    "make_coupons",
    "a code that is too long before one whose day is over",
    /when length\(v_draft.code\) > 64 then/,
    "when length(v_draft.code) > 69 then",
  ],
  ["retire_coupons", "a busy one that is told as done", /outcome := 'busy'/, "outcome := 'done'"],
  ["wallet", "codes of the older secret", /order by s.id desc/, "order by s.id"],
  [
    "find_claim",
    "codes of the newest secret alone",
    /s.id % 2 = v_number >> 54/,
    "s.id = (select max(n.id) from coupon.claim_secrets n)",
  ],
  ["retire_claim_secret", "a newest secret that is retired", /then 'newest'/, "then 'retired'"],
  [
    "claim_secrets",
    "secrets that are forgotten once retired",
    /order by s.id desc/,
    "where s.retired_at is null order by s.id desc",
  ],
  ["set_webhook", "types as they were given", /array\(select distinct t from/, "array(select t from"],
  ["rotate_webhook_secret", "three secrets at once", /delete from coupon.webhook_secrets s.*?;/s, ""],
  ["stop_webhook", "a webhook that is disabled and told nobody", /insert into coupon.audit.*?;/s, ""],
  ["list_webhooks", "webhooks in no order", /order by w.webhook_name/, "order by w.webhook_name desc"],
  [
    "count_demand",
    "what is told again, counted again",
    /s.last_number < excluded.last_number/,
    "s.last_number <= excluded.last_number",
  ],
  [
    "fold_demand",
    "the last second alone",
    /replayed = d.replayed \+ excluded.replayed/,
    "replayed = excluded.replayed",
  ],
  ["coupon_status", "coupons that are to come left out", /c.expiry > now.at or/, "c.start_time <= now.at or"],
  ["forget_subjects", "subjects that are forgotten for ever", /interval '2 days'/, "interval '3 days'"],
  [
    "revoked_keys",
    "only keys that were recorded",
    /where k.revoked_at is/,
    "where k.name is not null and k.revoked_at is",
  ],
  ["import_incoming_users", "of two lines of a user the last", /min\(j.line\) over/, "max(j.line) over"],
] as const;

// A service for all: each bug is mended before the next one.
const broken = await service(test);

for (const [name, bug, right, wrong] of BUGS)
  test(`one after another goes red with ${bug}`, async () => {
    const mend = await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(oneAfterAnother(broken), {
      ...{ seed: 1, numRuns: 200, endOnFailure: true },
      examples: [FIRST],
    });
    await mend();
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });
