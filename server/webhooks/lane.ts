/** The events of one coupon, sent one after the other: to where the webhook is now, and not while it asks to be left alone. */

import type { CloudEvent } from "../api/events.ts";
import { toCloudEvent } from "../api/events.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import type { Due, Stop } from "../database/webhooks.ts";
import type { Message, Post, Target } from "./post.ts";

/** From one look at where a webhook is, and with what is signed, to the next. */
const TARGET_MS = 1_000;

export interface LaneParts {
  db: Pick<Db, "webhookTarget">;
  clock: Clock;
  log: {
    event: (message: string, members: Record<string, unknown>) => void;
    failure: (error: unknown) => void;
  };
  post: Post;
}

/** The time in which this process is the one that sends, and the webhook is enabled. */
export interface Tenure {
  sender: string;
  holds(): boolean;
  /** Ends what is under way. */
  signal: AbortSignal;
}

export type Key = string | number | null;
/** As it was a second ago at most, or as it is. */
type GetTarget = (how?: { anew: boolean }) => Promise<Target | undefined>;

/** The events of a coupon, and how far they are. */
export interface Lane {
  key: Key;
  events: readonly Due[];
  /** The last that was taken and not told. */
  last: string | undefined;
  /** The one that is under way, or the next one. */
  at: Due;
  /** No further one is sent. */
  isOver: boolean;
}

export interface Told {
  taken: string[];
  stopped: Stop[];
}

export function createLanes({ db, clock, log, post }: LaneParts) {
  const sent = { taken: 0, refused: 0, unanswered: 0 };
  /** Until when a webhook asked to be sent nothing, at which URL: until the database, which is told so, says it. */
  const pauses = new Map<string, { url: string; until: number }>();

  const isPaused = (name: string, url: string) => {
    const pause = pauses.get(name);
    return pause !== undefined && pause.url === url && clock.now() < pause.until;
  };

  /** One event after the other, up to the first that is not taken. Never rejects. */
  async function sendLane(
    name: string,
    getTarget: GetTarget,
    lane: Lane,
    { holds, signal }: Tenure,
  ): Promise<Told> {
    const end = (...stopped: Stop[]): Told => ({
      taken: lane.last === undefined ? [] : [lane.last],
      stopped,
    });
    for (const event of lane.events) {
      lane.at = event;
      const target = lane.isOver ? undefined : await getTarget();
      const isToBeSent = target !== undefined && !isPaused(name, target.url) && holds() && !signal.aborted;
      // Its page may have ended while the target was read.
      if (!isToBeSent || lane.isOver) return end(notSent(event));
      const { status, error, wait } = await post.post(target, messageOf(toCloudEvent(event)), signal);
      // What was broken off is no attempt: whoever sends now sends it again.
      if (status === null && signal.aborted) return end(notSent(event));
      sent[error === null ? "taken" : status === null ? "unanswered" : "refused"] += 1;
      if (error !== null) {
        // Another URL is another receiver: what the one before answers says nothing of it.
        if ((await getTarget({ anew: true }))?.url !== target.url) return end(notSent(event));
        if (wait !== null) pause(name, target.url, wait);
        return end({ event_id: event.event_id, status, error, wait });
      }
      lane.last = event.event_id;
    }
    return end();
  }

  /** Who asks for a pause is sent nothing meanwhile, of other coupons neither. */
  function pause(name: string, url: string, seconds: number): void {
    const until = clock.now() + seconds * 1_000;
    if (!isPaused(name, url) || until > (pauses.get(name)?.until ?? 0)) pauses.set(name, { url, until });
  }

  /** The database says from here on who is paused. */
  const resume = (name: string) => pauses.delete(name);

  /** Looks again now and then: a secret that leaked, or a receiver that moved, is not to be used until a page ends. */
  function targetOf(name: string): GetTarget {
    let readAt = Number.NEGATIVE_INFINITY;
    let target: Target | undefined;
    return async ({ anew } = { anew: false }) => {
      if (!anew && clock.now() - readAt < TARGET_MS) return target;
      readAt = clock.now();
      try {
        target = await db.webhookTarget(name);
      } catch (error) {
        // It is sent to where it was.
        log.failure(error);
      }
      return target;
    };
  }

  return { sent, isPaused, resume, targetOf, sendLane };
}

export const notSent = ({ event_id }: Due, wait: number | null = null): Stop => ({
  event_id,
  status: null,
  error: null,
  wait,
});

/** The events of each coupon, in order; one that was given up before is alone. */
export function lanesOf(due: readonly Due[]): Lane[] {
  const lanes = new Map<Key, Due[]>();
  for (const event of due) {
    const key = event.is_dead ? event.event_id : event.coupon_id;
    const lane = lanes.get(key);
    if (lane) lane.push(event);
    else lanes.set(key, [event]);
  }
  return Array.from(lanes, ([key, events]) => ({
    key,
    events,
    last: undefined,
    at: events[0] as Due,
    isOver: false,
  }));
}

export function messageOf(event: CloudEvent | { id: string }): Message {
  return { id: event.id, body: stringifyExact(event) };
}
