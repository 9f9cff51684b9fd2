/**
 * Sends events to webhooks. Every process asks once a second whether it may; the database lets one. What that one takes, sends and tells is
 * next_webhook_events() and tell_webhook(). No connection to the database is held while a webhook is waited for.
 */
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { Db } from "../database/functions.ts";
import { createPages, type PageParts } from "./page.ts";

/** From one question to the next. A process whose claim has run out is followed within six seconds and this one. */
const ASK_MS = 1_000;
/** From one look at how the webhooks are doing to the next, for the metrics. */
const LOOK_MS = 15_000;
/** At the end, for what is under way. */
const END_MS = 1_000;

interface Parts extends PageParts {
  db: PageParts["db"] & Pick<Db, "claimWebhooks" | "listWebhooks">;
}

/** What was counted, and how the webhooks are doing where this process sends. */
export interface Figures {
  sent: { taken: number; refused: number; unanswered: number };
  state: { waiting: number; dead: number; disabled: number; behind: number } | undefined;
}

export type Sender = ReturnType<typeof createSender>;

/** Sends nothing until `start()`. `end()` lets what is under way finish, for a second at most, and another process take over at once. */
export function createSender(parts: Parts) {
  const { db, clock, log } = parts;
  const { sent, sendPage, settle } = createPages(parts);
  const sender = randomUUID();
  const figures: Figures = { sent, state: undefined };
  const runs = new Map<string, Promise<void>>();
  let heldUntil = Number.NEGATIVE_INFINITY;
  let isEnding = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let asking = Promise.resolve();
  /** Of each webhook: ends what is under way, once another process may send or it is not enabled any more. */
  const tenures = new Map<string, AbortController>();
  let cancel = () => {};

  const holds = () => !isEnding && clock.now() < heldUntil;

  function lose(): void {
    cancel();
    heldUntil = Number.NEGATIVE_INFINITY;
    figures.state = undefined;
    stopAllBut(new Set(), tenures);
  }

  async function ask(): Promise<void> {
    const askedAt = clock.now();
    const claimed = await db.claimWebhooks(sender);
    const [first] = claimed;
    if (first === undefined) return lose();
    heldUntil = askedAt + first.valid_for * 1_000;
    cancel();
    cancel = clock.after(heldUntil - clock.now(), lose);
    const names = new Set(claimed.flatMap(({ webhook_name }) => webhook_name ?? []));
    stopAllBut(names, tenures);
    for (const name of names)
      if (!runs.has(name) && holds())
        runs.set(
          name,
          run(name).finally(() => runs.delete(name)),
        );
    if (askedAt - lookedAt >= LOOK_MS) await look(askedAt);
  }

  async function look(now: number): Promise<void> {
    lookedAt = now;
    const webhooks = await db.listWebhooks();
    const enabled = webhooks.filter(({ disabled_at }) => disabled_at === null);
    const sum = (of: "waiting" | "dead") => webhooks.reduce((total, webhook) => total + webhook[of], 0);
    figures.state = {
      waiting: sum("waiting"),
      dead: sum("dead"),
      disabled: webhooks.length - enabled.length,
      behind: Math.max(0, ...enabled.map(({ behind }) => behind)),
    };
  }

  async function run(name: string): Promise<void> {
    const tenure = tenures.get(name) ?? newTenure();
    tenures.set(name, tenure);
    const { signal } = tenure;
    try {
      while (holds() && !signal.aborted && (await sendPage(name, { sender, holds, signal })));
    } catch (error) {
      log.failure(error);
    }
  }

  function next(): void {
    clock.after(ASK_MS, () => {
      if (isEnding) return;
      asking = ask().catch(log.failure).then(next);
    });
  }

  return {
    figures,
    start: next,
    async end(): Promise<void> {
      isEnding = true;
      await asking;
      if (heldUntil === Number.NEGATIVE_INFINITY) return;
      const cancelEnd = clock.after(END_MS, () => stopAllBut(new Set(), tenures));
      await Promise.all(runs.values());
      await settle();
      cancelEnd();
      lose();
      await db.claimWebhooks(sender, true).catch(log.failure);
    },
  };
}

/** Ends what is under way to webhooks that have none of these names. */
function stopAllBut(names: ReadonlySet<string>, tenures: Map<string, AbortController>): void {
  for (const [name, tenure] of tenures)
    if (!names.has(name)) {
      tenures.delete(name);
      tenure.abort();
    }
}

/** Each request that is under way listens to it. */
function newTenure(): AbortController {
  const tenure = new AbortController();
  setMaxListeners(0, tenure.signal);
  return tenure;
}
