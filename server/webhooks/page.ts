/** Sends what is due to one webhook, a page at a time: a coupon's events one after the other, those of several coupons at once. */
import { type CloudEvent, toCloudEvent } from "../api/events.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import type { Due, Stop } from "../database/webhooks.ts";
import type { Message, Post, Target } from "./post.ts";

/** Events that are read at once, and how long they are sent before what became of them is told: so much comes twice after a kill. */
const PAGE = 200;
const PAGE_MS = 10_000;
/** Coupons of one webhook whose events are sent at the same time. */
const AT_ONCE = 8;

export interface PageParts {
  db: Pick<Db, "webhookTarget" | "nextWebhookEvents" | "tellWebhook">;
  clock: Clock;
  log: {
    event: (message: string, members: Record<string, unknown>) => void;
    failure: (error: unknown) => void;
  };
  post: Post;
}

/** The time in which this process is the one that sends. */
export interface Tenure {
  sender: string;
  holds(): boolean;
  /** Ends what is under way. */
  signal: AbortSignal;
}

export function createPages({ db, clock, log, post }: PageParts) {
  const sent = { taken: 0, refused: 0, unanswered: 0 };

  /** Sends what is due, and tells what became of it. False: nothing is due, or another process sends. */
  async function sendPage(name: string, tenure: Tenure): Promise<boolean> {
    const due = await db.nextWebhookEvents(tenure.sender, name, PAGE);
    const [first] = due;
    const target = first && (await db.webhookTarget(name));
    if (first === undefined || target === undefined) return false;
    const until = clock.now() + PAGE_MS;
    const taken: string[] = [];
    const stopped: Stop[] = [];
    const lanes = lanesOf(due);
    const work = async () => {
      for (let lane = lanes.shift(); lane !== undefined; lane = lanes.shift()) {
        const { last, stop } = await sendLane(target, lane, until, tenure);
        if (last !== undefined) taken.push(last);
        if (stop !== undefined) stopped.push(stop);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const pageEnd = due.find(({ page_end }) => page_end !== null)?.page_end ?? null;
    const { is_told, is_disabled } = await db.tellWebhook(tenure.sender, name, {
      createdAt: first.created_at,
      pageEnd,
      taken,
      stopped,
    });
    const failed = stopped.filter(({ error }) => error !== null);
    if (failed.length > 0)
      log.event("webhook failed", { webhook: name, coupons: failed.length, error: failed[0]?.error });
    if (is_disabled) log.event("webhook disabled", { webhook: name });
    return is_told && !is_disabled;
  }

  /** One event after the other, up to the first that is not taken. The first is sent even if it is late. */
  async function sendLane(target: Target, lane: readonly Due[], until: number, { holds, signal }: Tenure) {
    let last: string | undefined;
    for (const event of lane) {
      const { event_id } = event;
      const isLate = clock.now() > until && event !== lane[0];
      const posted =
        isLate || !holds() || signal.aborted
          ? undefined
          : await post.post(target, messageOf(toCloudEvent(event)), signal);
      // What was broken off is no attempt: whoever sends now sends it again.
      if (posted === undefined || (posted.status === null && signal.aborted))
        return { last, stop: { event_id, status: null, error: null, wait: null } };
      const { status, error, wait } = posted;
      sent[error === null ? "taken" : status === null ? "unanswered" : "refused"] += 1;
      if (error !== null) return { last, stop: { event_id, status, error, wait } };
      last = event_id;
    }
    return { last, stop: undefined };
  }

  return { sent, sendPage };
}

/** The events of each coupon, in order; one that was given up before is alone. */
function lanesOf(due: readonly Due[]): Due[][] {
  const lanes = new Map<string | number | null, Due[]>();
  for (const event of due) {
    const key = event.is_dead ? event.event_id : event.coupon_id;
    const lane = lanes.get(key);
    if (lane) lane.push(event);
    else lanes.set(key, [event]);
  }
  return [...lanes.values()];
}

export function messageOf(event: CloudEvent | { id: string }): Message {
  return { id: event.id, body: stringifyExact(event) };
}
