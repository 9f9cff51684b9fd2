/** What must hold after a drop: every answer is held against the rows and against every other answer. */
import type { Sql } from "../../db/connect.ts";
import { instant } from "../../server/database/columns.ts";
import { createVerdict, type Verdict } from "../report/result.ts";
import type { Answers, Told } from "./answers.ts";
import type { Volley } from "./closed-loop.ts";

interface Drop {
  couponId: number;
  count: number;
  /** Who asked, by request. */
  askers: readonly number[];
  answers: Answers;
  volley: Volley;
}

type Row = Record<string, unknown>;

interface Grant extends Told {
  sentAt: number;
  answeredAt: number;
}

/** Instants in ms on performance.now()'s clock. */
interface Turn {
  /** What was sent after this answer came was sent after the start. */
  firstGrantAt: number;
  soldOutAt: number;
}

/** Also answers how often each answer came, and which share of them came before the first grant. */
export async function verify(admin: Sql, drop: Drop) {
  const verdict = createVerdict();
  const { couponId, count, answers } = drop;
  const rows = await admin`
    select user_id::integer, position,
      ${admin.unsafe(instant("issued_at"))}
    from coupon.user_coupons
    where coupon_id = ${couponId}
    order by position
  `;
  const [coupon] = await admin`
    select issued, extract(epoch from time_to_sell_out)::float8 * 1000 as sell_out,
      (select extract(epoch from start_time)::float8 * 1000 from coupon.coupons where id = ${couponId}) as starts_at
    from coupon_stats(${couponId})`;
  await verdict.reconciles(admin);
  const holders = new Map(rows.map((row) => [row["user_id"] as number, row as Row]));
  const granted: Grant[] = [...answers.told]
    .filter(([index]) => answers.status[index] === 201)
    .map(([index, told]) => ({
      ...told,
      sentAt: answers.sentAt[index] as number,
      answeredAt: answers.answeredAt[index] as number,
    }));

  verifyCounts(verdict, drop, rows, coupon?.["issued"]);
  verdict.equal("users who hold it", holders.size, rows.length);
  verdict.equal("answers 201", granted.length, count);
  verifyOrder(verdict, granted);
  const turn = turnOf(answers, granted);
  const { tally, before } = verifyEach(verdict, drop, holders, granted, turn);
  verdict.checks.push(
    `${count} rows, positions 1 to ${count}, ${count} answers 201 that match them, nobody twice, ` +
      "every other answer a correct refusal or replay, in order of arrival, reconcile() empty",
  );
  return {
    verdict,
    tally,
    share: before / drop.askers.length,
    sellOut: (coupon?.["sell_out"] ?? Number.NaN) as number,
    // The database's clock is this machine's.
    startsAt: (coupon?.["starts_at"] as number) - performance.timeOrigin,
  };
}

function verifyCounts(
  { equal }: Verdict,
  { askers, count, answers, volley }: Drop,
  rows: readonly Row[],
  issued: unknown,
): void {
  equal("answers", volley.requests, askers.length);
  equal("connections failed", volley.errors - volley.timeouts, 0);
  equal("requests without an answer in time", volley.timeouts, 0);
  equal("answers that tell of another user", answers.ofOthers, 0);
  equal("rows", rows.length, count);
  equal("coupons.issued", issued, count);
  for (const [i, row] of rows.entries()) equal(`position at place ${i + 1}`, row["position"], i + 1);
}

/** First come, first served: nobody was answered with a later position before an earlier one was even asked for. */
function verifyOrder({ equal, expect }: Verdict, granted: readonly Grant[]): void {
  equal("users with an answer 201", new Set(granted.map((grant) => grant.user_id)).size, granted.length);
  let laterAnsweredAt = Number.POSITIVE_INFINITY;
  for (const { position, sentAt, answeredAt } of granted.toSorted(
    (a, b) => (b.position ?? 0) - (a.position ?? 0),
  )) {
    expect(sentAt <= laterAnsweredAt, `position ${position} was asked for after a later one was answered`);
    laterAnsweredAt = Math.min(laterAnsweredAt, answeredAt);
  }
}

function turnOf({ outcome, answeredAt }: Answers, granted: readonly Grant[]): Turn {
  const firstGrantAt = granted.reduce(
    (first, grant) => Math.min(first, grant.answeredAt),
    Number.POSITIVE_INFINITY,
  );
  let soldOutAt = Number.POSITIVE_INFINITY;
  for (let i = 0; i < outcome.length; i++)
    if (outcome[i] === "sold_out") soldOutAt = Math.min(soldOutAt, answeredAt[i] as number);
  return { firstGrantAt, soldOutAt };
}

/** Each answer: a grant or a replay is as its row says, and no refusal comes too early or too late. */
function verifyEach(
  { expect, failures }: Verdict,
  { askers, answers }: Drop,
  holders: ReadonlyMap<number, Row>,
  granted: readonly Grant[],
  { firstGrantAt, soldOutAt }: Turn,
): { tally: Record<string, number>; before: number } {
  const grantOf = new Map(granted.map((grant) => [grant.user_id, grant]));
  const tally: Record<string, number> = {};
  let before = 0;
  for (const [i, userId] of askers.entries()) {
    const [status, outcome, sentAt] = [answers.status[i], answers.outcome[i], answers.sentAt[i] as number];
    const key = `${status} ${outcome}`;
    tally[key] = (tally[key] ?? 0) + 1;
    if ((answers.answeredAt[i] as number) < firstGrantAt) before += 1;
    if (status === 201 || status === 200) {
      const told = answers.told.get(i);
      const row = holders.get(userId);
      const same = row && row["position"] === told?.position && row["issued_at"] === told?.issued_at;
      expect(
        outcome === (status === 201 ? "issued" : "already_issued") && same === true,
        `request ${i}: ${status} ${JSON.stringify(told)} has no such row`,
      );
      expect(status !== 201 || sentAt <= soldOutAt, `request ${i} was granted after a sold_out`);
    } else if (key === "409 not_started") {
      expect(sentAt <= firstGrantAt, `request ${i}: not_started after a grant`);
    } else if (key === "409 sold_out") {
      const grant = grantOf.get(userId);
      expect(!grant || sentAt <= grant.answeredAt, `request ${i}: a holder is told sold_out`);
    } else {
      failures.push(`request ${i}: ${key}`);
    }
  }
  return { tally, before };
}
