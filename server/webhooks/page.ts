/** Sends what is due to one webhook, a page at a time: a coupon's events one after the other, those of several coupons at once. */
import type { Db } from "../database/functions.ts";
import {
  createLanes,
  type Key,
  type Lane,
  type LaneParts,
  lanesOf,
  notSent,
  type Tenure,
  type Told,
} from "./lane.ts";

/** Events that are read at once, and how long they are sent before what became of them is told: so much comes twice after a kill. */
const PAGE = 200;
const PAGE_MS = 10_000;
/** Coupons of one webhook whose events are sent at the same time. */
const AT_ONCE = 8;
/** Seconds after which what was under way at the end of its page is sent again if nobody tells how it ended: longer than a post lasts. */
const UNDER_WAY = 60;

export interface PageParts extends LaneParts {
  db: LaneParts["db"] & Pick<Db, "nextWebhookEvents" | "tellWebhook">;
}

export function createPages(parts: PageParts) {
  const { db, clock, log } = parts;
  const { sent, isPaused, resume, targetOf, sendLane } = createLanes(parts);
  /** Of each webhook, the coupons whose event was under way when its page ended. */
  const underWay = new Map<string, Map<Key, Promise<void>>>();

  /** Sends what is due, and tells what became of it. False: nothing is due now, or another process sends. */
  async function sendPage(name: string, tenure: Tenure): Promise<boolean> {
    const getTarget = targetOf(name);
    const target = await getTarget();
    const late = underWay.get(name) ?? new Map<Key, Promise<void>>();
    underWay.set(name, late);
    // Nobody is left who might have to tell of a pause.
    if (late.size === 0) resume(name);
    if (target === undefined || isPaused(name, target.url)) return false;
    if (late.size >= AT_ONCE) await Promise.race(late.values());
    const due = await db.nextWebhookEvents(tenure.sender, name, PAGE);
    const [first] = due;
    if (first === undefined) return false;
    const createdAt = first.created_at;
    const told: Told = { taken: [], stopped: [] };
    const all = lanesOf(due);
    const lanes = all.filter(({ key }) => !late.has(key));
    for (const { key, at } of all) if (late.has(key)) told.stopped.push(notSent(at, UNDER_WAY));
    if (lanes.length === 0) return false;

    const running = new Map<Lane, Promise<Told>>();
    const work = async () => {
      for (let lane = lanes.shift(); lane !== undefined; lane = lanes.shift()) {
        const sending = sendLane(name, getTarget, lane, tenure);
        running.set(lane, sending);
        const ended = await sending;
        if (running.delete(lane)) add(told, ended);
      }
    };
    let cancel = () => {};
    const deadline = new Promise<void>((resolve) => {
      cancel = clock.after(PAGE_MS, resolve);
    });
    await Promise.race([deadline, Promise.all(Array.from({ length: AT_ONCE - late.size }, work))]);
    cancel();
    for (const { at } of lanes.splice(0)) told.stopped.push(notSent(at));
    // What is under way holds up its own coupon, and how it ends is told then.
    for (const [lane, sending] of running) {
      running.delete(lane);
      add(told, {
        taken: lane.last === undefined ? [] : [lane.last],
        stopped: [notSent(lane.at, UNDER_WAY)],
      });
      lane.last = undefined;
      lane.isOver = true;
      const ends = sending
        .then((ended) => tell(name, tenure, { createdAt, pageEnd: null, ...ended }))
        .then(() => {}, log.failure)
        .finally(() => late.delete(lane.key));
      late.set(lane.key, ends);
    }
    const pageEnd = due.find(({ page_end }) => page_end !== null)?.page_end ?? null;
    return tell(name, tenure, { createdAt, pageEnd, ...told });
  }

  /** False: it was not taken down, or nothing more is to be sent. */
  async function tell(
    name: string,
    { sender }: Tenure,
    told: Parameters<Db["tellWebhook"]>[2],
  ): Promise<boolean> {
    const { is_told, is_disabled } = await db.tellWebhook(sender, name, told);
    const failed = told.stopped.filter(({ error }) => error !== null);
    if (failed.length > 0)
      log.event("webhook failed", { webhook: name, coupons: failed.length, error: failed[0]?.error });
    if (is_disabled) log.event("webhook disabled", { webhook: name });
    return is_told && !is_disabled;
  }

  /** Resolves when nothing is under way. */
  const settle = async () => {
    await Promise.all([...underWay.values()].flatMap((late) => [...late.values()]));
  };

  return { sent, sendPage, settle };
}

function add(to: Told, { taken, stopped }: Told): void {
  to.taken.push(...taken);
  to.stopped.push(...stopped);
}
