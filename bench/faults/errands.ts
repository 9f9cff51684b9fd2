/**
 * What else is done to coupons while others ask, as in lives.ts.
 *
 * - A user goes with a coupon to two tills at once, which number their slips alike. The one that takes it takes that back every other time. Then they
 *   are shown it again, and meanwhile every third user is forgotten.
 * - One says what a weekday offers, and has the days until the next such day filled, at two servers at once. Of every other such day it withdraws the
 *   coupon. Then it changes its mind about that weekday, and has the days filled again: they have what they had.
 * - Another one retires coupons of long ago, a few grants a step.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DAY_MS, dayAt, weekdayOf } from "./days.ts";
import type { Shift } from "./shift.ts";

const AHEAD = 14;
/** As many grants as a step retires, so that each coupon takes some; and from one step to the next at most, ms. */
const STEP = 8;
const STEP_MS = 1_000;

export async function buyOne(
  { stock, random, insist, claimOf }: Shift,
  i: number,
  user: number,
): Promise<void> {
  const { coupon } = stock.probe;
  if ((await insist({ kind: "issue", coupon, user })).is !== "ok") return;
  const claim = await claimOf(user);
  if (claim === undefined) return;
  const tills = [2 * user, 2 * user + 1];
  const shown = { coupon, user, claim };
  /** The till that took it, and the time that it was told. */
  const scan = async (slip: number) => {
    const reference = `slip ${user}-${slip}`;
    const takes = tills.map(async (till) => {
      const answer = await insist({ kind: "scan", ...shown, till, reference });
      return answer.is === "ok" && answer.at !== undefined ? { till, used: answer.at } : undefined;
    });
    return (await Promise.all(takes)).find((take) => take !== undefined);
  };
  const taken = await scan(1);
  if (taken !== undefined && i % 2 === 0) await insist({ kind: "undo", ...shown, ...taken });
  const forget = async () => i % 3 === 0 && insist({ kind: "forget", user });
  await Promise.all([scan(2), forget()]);
  await scan(3);
  await insist({ kind: "issue", coupon, user });
  await sleep(random() * 100);
}

export async function planOne({ insist }: Shift, i: number): Promise<void> {
  const last = dayAt(Date.now() + (AHEAD + i) * DAY_MS);
  const weekday = weekdayOf(last);
  const plan = (message: string, count: number) => insist({ kind: "plan", weekday, message, count });
  const fill = () => insist({ kind: "fill", last });
  await plan(`Plan ${i}`, 50 + i);
  const [answer] = await Promise.all([fill(), fill()]);
  const coupon = answer.is === "ok" ? answer.days?.[last] : undefined;
  if (coupon !== undefined && i % 2 === 0) await insist({ kind: "withdraw", coupon });
  await plan(`Plan ${i}, changed`, 150 + i);
  await fill();
}

export async function retireSome({ stock, random, insist }: Shift): Promise<void> {
  const before = dayAt(Date.now() - 40 * DAY_MS);
  if (stock.old.size > 0) await insist({ kind: "retire", before, most: STEP });
  await sleep(random() * STEP_MS);
}
