/**
 * Operators who make a coupon, correct it, move it and withdraw it, one after the other, while others ask for it. Each goes on when
 * its step has a definite answer, sent to any server.
 *
 * - Movers make a coupon of a day to come, and move its start to a moment from now, or to a later one. Who asks for it is nobody that
 *   the service knows, so that nothing is issued and it can be withdrawn: the next one has the same code.
 * - Some make a coupon of a day to come, and let a group have it from a moment from now on. Members ask for it, and others, who must wait.
 * - Withdrawers make a coupon that can be had at once, and withdraw it while users ask: it is gone, or somebody has it and it stays.
 * - Others go to tills, are forgotten, plan and retire: errands.ts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRandom } from "../harness/stats.ts";
import type { Client } from "./client.ts";
import { DAY_MS } from "./days.ts";
import { buyOne, planOne, retireSome } from "./errands.ts";
import { type Answer, type Ask, type History, STRANGERS } from "./history.ts";
import type { Load } from "./load.ts";
import type { Shift } from "./shift.ts";
import type { Stock } from "./state.ts";

interface LivesOptions {
  seed: number;
  load: Load;
  client: Pick<Client, "claimOf">;
  targets: readonly string[];
  history: History;
  stock: Stock;
  /** Coupons that each withdrawer makes at most; who waits for starts makes a third of them. */
  most?: number;
  isOn: boolean;
}

interface Lives {
  /** Resolves when each operator has made so many as were wanted. */
  made: Promise<unknown>;
  /** Begins no further step, and waits for those that are under way. */
  finish(): Promise<void>;
}

/** A day has room for three coupons, and movers share one. */
const MOVERS = 2;
const WITHDRAWERS = 2;
/** No day is planned further ahead than 90 days. */
const DAYS = 70;
/** Who ask in vain for what is a group's early. */
const OUTSIDERS = 200;
const ASKERS = 4;
/** Each step has its answer by then, also where a busy machine takes long to start a server. */
const PATIENCE_MS = 60_000;
/** Between two questions of an asker, at most, ms. */
const PAUSE_MS = 60;

export function startLives({
  seed,
  load,
  client,
  targets,
  history,
  stock,
  most = Number.POSITIVE_INFINITY,
  isOn,
}: LivesOptions): Lives {
  const random = createRandom(seed + 77);
  let running = isOn;
  let users = stock.firstOfLives;
  let strangers = STRANGERS;
  const target = () => targets[Math.floor(random() * targets.length)];
  const insist = (ask: Ask): Promise<Answer> => load.insist(ask, PATIENCE_MS, target);
  const shift: Shift = {
    stock,
    random,
    isOver: () => !running,
    insist,
    async create(coupon) {
      const answer = await insist({ kind: "create", ...coupon });
      if (answer.is !== "ok" || answer.coupon === undefined) return undefined;
      history.counts.set(answer.coupon, coupon.count);
      return answer.coupon;
    },
    async whileAsked(coupon, user, act) {
      let left = Number.POSITIVE_INFINITY;
      const asking = Array.from({ length: ASKERS }, async () => {
        while (left-- > 0) {
          await sleep(random() * PAUSE_MS);
          await insist({ kind: "issue", coupon, user: user() });
        }
      });
      await act();
      left = ASKERS * 2;
      await Promise.all(asking);
    },
    async claimOf(user) {
      for (; running; await sleep(random() * PAUSE_MS)) {
        const claim = await client.claimOf(target() ?? "", user);
        if (claim !== undefined) return claim;
      }
      return undefined;
    },
  };
  const operate = async (operator: number, live: typeof moveOne, next: () => number, times = most) => {
    let place = 0;
    for (let i = 0; running && i < times; i++)
      if (!(await live(shift, next, { operator, place, i }))) place += 1;
  };
  const run = async (errand: (shift: Shift, i: number) => Promise<void>, times = most) => {
    for (let i = 0; running && i < times; i++) await errand(shift, i);
  };
  const made = Promise.all([
    ...Array.from({ length: MOVERS }, (_, operator) =>
      operate(operator, moveOne, () => strangers++, Math.ceil(most / 3)),
    ),
    operate(0, openEarly, memberOrNot(stock), Math.ceil(most / 3)),
    ...Array.from({ length: WITHDRAWERS }, (_, operator) => operate(operator, withdrawOne, () => users++)),
    run((shift, i) => buyOne(shift, i, users++)),
    run(planOne, Math.min(most, DAYS)),
    run(retireSome),
  ]);
  return {
    made,
    async finish() {
      running = false;
      await made;
    },
  };
}

/** A member, then somebody who is none, of just before the first one; they come round. */
function memberOrNot({ members }: Stock): () => number {
  let asked = 0;
  return () => {
    const [turn, isMember] = [asked >> 1, asked++ % 2 === 0];
    return isMember
      ? members.first + (turn % (members.last - members.first + 1))
      : members.first - 1 - (turn % OUTSIDERS);
  };
}

/** Which coupon this is: of an operator, at a place (a day, with its code) that it leaves when it is taken, the so-manieth. */
interface Which {
  operator: number;
  place: number;
  i: number;
}

/** Returns whether its place is free again. */
async function moveOne(
  shift: Shift,
  stranger: () => number,
  { operator, place, i }: Which,
): Promise<boolean> {
  const { random, isOver, insist } = shift;
  const day = today() + 1_000 + 1_000 * operator + place;
  const name = { code: `MOVED-${operator}-${place}`, message: `Moved ${operator}-${i}` };
  const times = { start: day * DAY_MS + i, end: (day + 10) * DAY_MS };
  const coupon = await shift.create({ ...name, ...times, count: 1_000 + 10 * operator });
  if (coupon === undefined) return false;
  await shift.whileAsked(coupon, stranger, async () => {
    await insist({ kind: "edit", coupon, message: `${name.message}, corrected` });
    if (random() < 0.5) await insist({ kind: "move", coupon, start: times.start + DAY_MS });
    await bringForward(shift, 0.7, (start) => ({ kind: "move", coupon, start }));
    if (!isOver()) await insist({ kind: "withdraw", coupon });
  });
  return true;
}

/** Gives it a start that comes while leases may still hold, and mostly waits for it. After a wait for them it is often too late, and is refused. */
async function bringForward(
  { random, isOver, insist }: Shift,
  waits: number,
  startingAt: (start: number) => Ask,
): Promise<void> {
  for (let ahead = 100 + random() * 1_000; !isOver(); ahead += 1_500) {
    const start = Math.round(Date.now() + ahead);
    const { is } = await insist(startingAt(start));
    if (is !== "ok") continue;
    if (random() < waits) await sleep(Math.max(0, start - Date.now()) + 100 + random() * 200);
    return;
  }
}

/** Members take it, and then its place is not free again. */
async function openEarly(shift: Shift, user: () => number, { place, i }: Which): Promise<boolean> {
  const { random, insist } = shift;
  const day = today() + 5_000 + place;
  const name = { code: `EARLY-${place}`, message: `Early ${i}` };
  const [start, end] = [day * DAY_MS, (day + 10) * DAY_MS];
  const coupon = await shift.create({ ...name, start, end, count: 2 + Math.floor(random() * 6) });
  if (coupon === undefined) return false;
  await shift.whileAsked(coupon, user, async () => {
    if (random() < 0.5) await insist({ kind: "early", coupon, from: start - DAY_MS });
    await bringForward(shift, 1, (from) => ({ kind: "early", coupon, from }));
  });
  return false;
}

/** Returns whether its place is free again. */
async function withdrawOne(
  shift: Shift,
  user: () => number,
  { operator, place, i }: Which,
): Promise<boolean> {
  const { random, insist } = shift;
  const day = today() - 2_000 - 1_000 * operator - place;
  const name = { code: `GONE-${operator}-${place}`, message: `Gone ${operator}-${i}` };
  const end = Date.now() + 3 * DAY_MS;
  const coupon = await shift.create({ ...name, start: day * DAY_MS + i, end, count: 2 });
  if (coupon === undefined) return false;
  let outcome: string | undefined;
  if (random() < 0.5) await insist({ kind: "edit", coupon, message: `${name.message}, corrected` });
  await shift.whileAsked(coupon, user, async () => {
    await sleep(random() * 20);
    ({ outcome } = await insist({ kind: "withdraw", coupon }));
    if (outcome === "has_grants")
      await insist({ kind: "edit", coupon, message: `${name.message}, and it stays` });
  });
  return outcome !== "has_grants";
}

const today = () => Math.floor(Date.now() / DAY_MS);
