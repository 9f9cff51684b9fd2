/** What whoever acts in the life of a coupon is given: lives.ts, errands.ts. */
import type { Answer, Ask, NewCoupon } from "./history.ts";
import type { Stock } from "./state.ts";

/** What operators share. */
export interface Shift {
  stock: Stock;
  random: () => number;
  isOver: () => boolean;
  insist: (ask: Ask) => Promise<Answer>;
  /** Makes it; undefined where it can't be made, or nobody knows. */
  create: (coupon: Omit<NewCoupon, "kind">) => Promise<number | undefined>;
  /** Others ask for it meanwhile, and a few times afterwards. */
  whileAsked: (coupon: number, user: () => number, act: () => Promise<unknown>) => Promise<void>;
  /** Of the first coupon in the user's wallet; undefined when the shift is over. */
  claimOf: (user: number) => Promise<string | undefined>;
}
