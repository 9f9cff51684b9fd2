/**
 * Faults between the server and its database, by chance and a seed: around the methods of Db that issue, use, change and count. What is thrown
 * is what server/database/pool.ts would throw for it; the layers above can't tell the difference.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Issue } from "../../server/database/commands.ts";
import { DatabaseError } from "../../server/database/errors.ts";
import type { Db } from "../../server/database/functions.ts";
import { createRandom } from "../harness/stats.ts";

/** How likely each fault is for a call, out of 1. */
export interface Chances {
  /** The call is not sent. */
  unsent: number;
  /** The call is sent, and lost before its commit. */
  undone: number;
  /** The call commits, and its answer is lost. */
  unheard: number;
  /** The caller gives up, and the call is done later nevertheless. */
  late: number;
  /** The call is done twice. */
  twice: number;
  /** A constraint undoes the whole call. */
  conflict: number;
  /** A lock or a full disk refuses the call. */
  busy: number;
  /** The call is slow, before or after it is done. */
  slow: number;
}

export const CHANCES: Chances = {
  unsent: 0.02,
  undone: 0.02,
  unheard: 0.03,
  late: 0.03,
  twice: 0.03,
  conflict: 0.03,
  busy: 0.02,
  slow: 0.05,
};

/** No fault at all. */
export const NEVER: Chances = {
  unsent: 0,
  undone: 0,
  unheard: 0,
  late: 0,
  twice: 0,
  conflict: 0,
  busy: 0,
  slow: 0,
};

const SLOW_MS = 50;

export interface Flaky {
  db: Db;
  /** How often each fault was made. */
  made: Record<keyof Chances, number>;
  /** Waits for the calls that are still to be done late. */
  settled(): Promise<void>;
  /** Makes no more faults. */
  heal(): void;
}

export function flaky(db: Db, seed: number, chances: Chances = CHANCES): Flaky {
  const random = createRandom(seed);
  const made = Object.fromEntries(Object.keys(chances).map((name) => [name, 0])) as Flaky["made"];
  const late = new Set<Promise<unknown>>();
  let isHealed = false;

  function draw(): keyof Chances | undefined {
    let r = random();
    if (isHealed) return undefined;
    for (const [name, chance] of Object.entries(chances) as [keyof Chances, number][]) {
      r -= chance;
      if (r >= 0) continue;
      made[name] += 1;
      return name;
    }
    return undefined;
  }

  const failure = (kind: DatabaseError["kind"], sqlstate: string) =>
    new DatabaseError(kind, sqlstate, `made to fail: ${kind}`);

  function around<Args extends unknown[], Result>(
    call: (...args: Args) => Promise<Result>,
    told = (first: Result, _second: Result) => first,
  ) {
    return async (...args: Args): Promise<Result> => {
      switch (draw()) {
        case "unsent":
          throw failure("unavailable", "ECONNREFUSED");
        case "busy":
          throw failure("busy", "53100");
        case "conflict":
          throw failure("conflict", "23505");
        case "undone":
          await sleep(random() * 20);
          throw failure("unknown", "CONNECTION_CLOSED");
        case "unheard":
          await call(...args);
          throw failure("unknown", "CONNECTION_CLOSED");
        case "late": {
          const done = sleep(random() * SLOW_MS).then(() => call(...args).catch(() => {}));
          late.add(done);
          void done.finally(() => late.delete(done));
          throw failure("unknown", "CONNECTION_CLOSED");
        }
        case "twice": {
          const first = await call(...args);
          // If the second one was not done, what the first one answered is true.
          const second = await call(...args).catch((error) => {
            if (error instanceof DatabaseError && error.kind !== "unknown") return first;
            throw error;
          });
          return told(first, second);
        }
        case "slow": {
          await sleep(random() * SLOW_MS);
          const result = await call(...args);
          await sleep(random() * SLOW_MS);
          return result;
        }
        case undefined:
          return call(...args);
      }
    };
  }

  return {
    db: withFaults(db, around),
    made,
    settled: async () => void (await Promise.all(late)),
    heal: () => {
      isHealed = true;
    },
  };
}

/** Puts faults around a call; `told` is what is answered of one that was done twice. */
type Around = <Args extends unknown[], Result>(
  call: (...args: Args) => Promise<Result>,
  told?: (first: Result, second: Result) => Result,
) => (...args: Args) => Promise<Result>;

function withFaults(db: Db, around: Around): Db {
  return {
    ...db,
    // Who was refused the first time may have been granted the second, after a restock.
    issueCoupons: around(db.issueCoupons, (first, second) =>
      first.map((issue, i) => (issue.outcome === "issued" ? issue : (second[i] as Issue))),
    ),
    couponLeases: around(db.couponLeases),
    useCoupon: around(db.useCoupon),
    // Who was refused the first time may have been served the second, after another till took its use back.
    useClaim: around(db.useClaim, (first, second) => (first.outcome === "used" ? first : second)),
    undoClaim: around(db.undoClaim, (first, second) => (first.outcome === "restored" ? first : second)),
    forgetUser: around(db.forgetUser),
    setCouponCount: around(db.setCouponCount),
    createCoupon: around(db.createCoupon),
    editCoupon: around(db.editCoupon),
    setCouponStart: around(db.setCouponStart),
    setCouponGroup: around(db.setCouponGroup),
    withdrawCoupon: around(db.withdrawCoupon),
    setPlanEntry: around(db.setPlanEntry),
    fillDays: around(db.fillDays),
    retireCoupons: around(db.retireCoupons),
    countDemand: around(db.countDemand),
  };
}
