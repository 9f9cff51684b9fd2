import assert from "node:assert/strict";
import { test } from "node:test";
import { outcomes } from "../api/outcomes.ts";
import { commandAnswer, issueAnswer } from "./answer.ts";

for (const outcome of Object.keys(outcomes.issue_coupon) as (keyof typeof outcomes.issue_coupon)[])
  test(`${outcome}: the short form of issuing says what any command's answer says`, () => {
    const row = { user_id: 9_007_199_254_740_991, position: null, issued_on: null, issued_at: null };
    const sold_out_at = outcome === "sold_out" ? "2026-11-28T12:00:01.843000Z" : null;
    const why = { sold_out_at, time_to_sell_out: sold_out_at && 1.843 };
    const expected = commandAnswer(
      "issue_coupon",
      { outcome, coupon_id: 7, ...row, ...(sold_out_at && why) },
      "mine:1",
    );
    assert.deepEqual(issueAnswer(7, { outcome, ...row, starts_in: null, ...why }, "mine:1"), expected);
  });

test("the seconds until the start are told in the body, and rounded up in Retry-After", () => {
  for (const [starts_in, told, header] of [
    [3599.123456, "3599.123456", "3600"],
    [0.0000001, "1e-7", "1"],
    [0, "0", "1"],
  ] as const) {
    const issue = {
      outcome: "not_started",
      user_id: 42,
      starts_in,
      sold_out_at: null,
      time_to_sell_out: null,
    } as const;
    const { text, headers } = issueAnswer(7, issue, "mine:1");
    assert.equal(headers["retry-after"], header);
    assert.equal(
      text,
      '{"title":"Conflict","status":409,"outcome":"not_started","detail":"The coupon cannot be issued before its start time.",' +
        `"coupon_id":7,"user_id":42,"starts_in":${told},"request_id":"mine:1"}`,
    );
  }
});
