/** Answers one request to issue: with a refusal from a valid lease, or else by the next batch of the coupon's lane. */
import { Overloaded } from "../api/failures.ts";
import { COMMON_REFUSALS, outcomes } from "../api/outcomes.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Issue } from "../database/commands.ts";
import type { Db } from "../database/functions.ts";
import { createLanes, type HangUp, type LaneLimits, type Lanes } from "./lane.ts";
import { createLeases, type Leases } from "./lease.ts";
import { createTally, type Tally } from "./tally.ts";

export interface Issuing {
  issue(couponId: number, userId: number, hangUp?: HangUp): Issue | Promise<Issue>;
  lanes: Pick<Lanes<number, Issue>, "queued" | "maxQueue" | "overloaded">;
  leases: Pick<Leases, "hits" | "held" | "soldOut">;
  /** How often each outcome was answered, from leases and by the database. */
  outcomes: Readonly<Record<Issue["outcome"], number>>;
  /** Of them, by coupon, what wrote nothing. */
  tally: Pick<Tally, "take" | "told" | "counted" | "pending">;
}

/** Requests in one call of issue_coupons(), requests that wait, and how long. bench/README.md says what a batch of each size costs. */
const LIMITS: LaneLimits = { maxBatch: 1_000, maxQueue: 20_000, maxWaitMs: 2_000 };

/** Concurrent calls that look up unknown coupons, so that a flood of invented ids cannot delay a real coupon. */
const MAX_UNKNOWN = 32;

const common = new Set<string>(COMMON_REFUSALS);

export function createIssuing(
  db: Pick<Db, "issueCoupons" | "couponLeases"> & Partial<Pick<Db, "onLost">>,
  limits: Partial<LaneLimits> = {},
  onBatch: (size: number, ms: number) => void = () => {},
  clock: Clock = systemClock,
): Issuing {
  const leases = createLeases(db.couponLeases, clock);
  db.onLost?.(leases.drop);
  /** Coupons that this process has seen live or upcoming. */
  const known = new Set<number>();
  const tally = createTally();
  let unknown = 0;
  const answered = Object.fromEntries(
    Object.keys(outcomes.issue_coupon).map((outcome) => [outcome, 0]),
  ) as Record<Issue["outcome"], number>;

  async function issueBatch(couponId: number, userIds: number[], isKnown = true): Promise<Issue[]> {
    const began = clock.now();
    const issues = await db
      .issueCoupons(couponId, userIds, isKnown)
      .finally(() => onBatch(userIds.length, clock.now() - began));
    let refused = 0;
    for (const { outcome } of issues) {
      answered[outcome] += 1;
      tally.answered(couponId, outcome);
      if (common.has(outcome)) refused += 1;
    }
    if (refused > 0) leases.refused(couponId, refused);
    return issues;
  }

  async function findOut(couponId: number, userIds: number[]): Promise<Issue[]> {
    if (unknown >= MAX_UNKNOWN) throw new Overloaded("too many coupons that aren't known are asked for");
    unknown += 1;
    try {
      const issues = await issueBatch(couponId, userIds, false);
      if (issues.some(({ outcome }) => outcome !== "coupon_not_found" && outcome !== "ended"))
        known.add(couponId);
      return issues;
    } finally {
      unknown -= 1;
    }
  }

  const lanes = createLanes(
    (couponId: number, userIds: number[]) => (known.has(couponId) ? issueBatch : findOut)(couponId, userIds),
    { ...LIMITS, ...limits },
    clock,
  );
  return {
    issue(couponId, userId, hangUp) {
      const refused = leases.refusal(couponId, userId);
      if (refused === undefined) return lanes.submit(couponId, userId, hangUp);
      answered[refused.outcome] += 1;
      tally.refused(couponId);
      return refused;
    },
    lanes,
    leases,
    outcomes: answered,
    tally,
  };
}
