/** What clients ask for: drawn from a seed, by what was asked for and given so far. */
import type { Ask } from "./history.ts";

type Issue = Extract<Ask, { kind: "issue" }>;
type Use = Extract<Ask, { kind: "use" }>;

export interface AsksOptions {
  /** Users 1 to `users` may ask. */
  users: number;
  /** The coupons in the order in which they drop. */
  coupons: readonly { coupon: number; count: number }[];
  /** Whether the admin restocks. Not where the clock of the database jumps, since leases trust it. */
  restocks: boolean;
}

export interface Asks {
  draw(random: () => number): Ask;
  /** Whoever asked for this holds it now, and may use it. */
  given(ask: Issue): void;
}

/** New users who ask for a coupon before the next one drops, by its count. */
const ASKERS_PER_UNIT = 2.5;

/** How often (out of 1) what is asked; the rest are new users who ask for the coupon of the moment. */
const SHARES = { again: 0.12, second: 0.08, straggler: 0.08, use: 0.18, reuse: 0.03, restock: 0.01 };

export function createAsks({ users, coupons, restocks }: AsksOptions): Asks {
  let lastUser = 0;
  let drop = 0;
  let left = 0;
  const asked: Issue[] = [];
  const held: Issue[] = [];
  const used: Use[] = [];
  const restocked = new Set<number>();

  /** A new user; each coupon is asked for until well beyond its last unit. */
  function fresh(): Issue {
    if (left === 0) {
      const next = coupons[drop % coupons.length];
      drop += 1;
      left = Math.ceil((next?.count ?? 1) * ASKERS_PER_UNIT);
    }
    left -= 1;
    lastUser = (lastUser % users) + 1;
    const coupon = coupons[(drop - 1) % coupons.length]?.coupon ?? 0;
    const ask: Issue = { kind: "issue", user: lastUser, coupon };
    asked.push(ask);
    return ask;
  }

  /** Each coupon is restocked once. */
  function restock({ coupon, count }: AsksOptions["coupons"][number], random: () => number): Ask | undefined {
    if (!restocks || restocked.has(coupon)) return undefined;
    restocked.add(coupon);
    return { kind: "restock", coupon, count: count + 1 + Math.floor(random() * 10) };
  }

  function use({ user, coupon }: Issue): Use {
    const ask: Use = { kind: "use", user, coupon, reference: `order-${user}` };
    used.push(ask);
    return ask;
  }

  /** Returns undefined if there is nothing yet to do it with. */
  function special(what: keyof typeof SHARES, random: () => number): Ask | undefined {
    const recent = <T>(list: readonly T[]) => among(list.slice(-200), random);
    switch (what) {
      case "again":
        return recent(asked);
      case "second": {
        const mine = recent(asked);
        return mine && { ...fresh(), user: mine.user };
      }
      case "straggler":
      case "restock": {
        // One of the two that dropped before the coupon of the moment.
        const earlier = coupons[(drop + coupons.length - 2 - Math.floor(random() * 2)) % coupons.length];
        if (drop < 3 || !earlier) return undefined;
        return what === "restock" ? restock(earlier, random) : { ...fresh(), coupon: earlier.coupon };
      }
      case "use":
      case "reuse": {
        const mine = recent(held);
        const before = what === "reuse" && mine ? recent(used) : undefined;
        return before ? reuse(before, random) : mine && use(mine);
      }
    }
  }

  return {
    draw(random) {
      let r = random();
      for (const [what, share] of Object.entries(SHARES) as [keyof typeof SHARES, number][]) {
        r -= share;
        if (r < 0) return special(what, random) ?? fresh();
      }
      return fresh();
    },
    given: (ask) => void held.push(ask),
  };
}

function among<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}

/** The same use again, or one under another reference. */
function reuse(use: Use, random: () => number): Use {
  return { ...use, reference: random() < 0.5 ? use.reference : `other-${use.user}` };
}
