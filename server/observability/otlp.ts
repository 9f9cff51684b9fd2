/**
 * Sends spans to a collector: OTLP over HTTP, in JSON. Nobody waits for it: spans wait in a bounded queue, one batch is on its way at a
 * time, and what finds no room is counted and forgotten. Ours, since OpenTelemetry's exporter and SDK are 14 packages of 28 MB.
 */
import type { Clock } from "../clock.ts";
import { retryAfterOf } from "../retry-after.ts";
import { attributesOf, type Ended, spanOf } from "./tracer.ts";

/** The SDK's own defaults: spans that wait, spans of a batch, ms until a batch that is not full is sent, ms for its answer. */
export const MAX_QUEUE = 2_048;
export const MAX_BATCH = 512;
const DELAY_MS = 5_000;
const TIMEOUT_MS = 10_000;
/** Until a batch that the collector did not take is sent again, ms: the first time, and at most. */
const RETRY_MS = { first: 1_000, most: 30_000 };
/** The longest time in which the collector may ask for peace: one wrong answer must not end tracing. */
const PEACE_MS = 300_000;
/** Statuses after which OTLP says to send again. */
const AGAIN = [429, 502, 503, 504];

interface Collector {
  /** Where spans are posted to. */
  url: string;
  headers: Record<string, string>;
  /** What the spans are of: service.name and others. */
  resource: Record<string, string>;
  version: string;
}

export type Exporter = ReturnType<typeof createExporter>;

export function createExporter(
  collector: Collector,
  clock: Pick<Clock, "after" | "wall">,
  onFailure: (error: unknown) => void,
  send: typeof fetch = fetch,
) {
  const waiting: Ended[] = [];
  const counts = { exported: 0, dropped: 0 };
  let sending: Promise<void> | undefined;
  let isTimed = false;
  let isEnding = false;

  const hasRoom = () => waiting.length < MAX_QUEUE;

  function take(ended: Ended): void {
    if (!hasRoom()) {
      counts.dropped += 1;
      return;
    }
    waiting.push(ended);
    if (waiting.length >= MAX_BATCH) start();
    else if (!isTimed) {
      isTimed = true;
      clock.after(DELAY_MS, () => {
        isTimed = false;
        start();
      });
    }
  }

  /** Sends all that wait, also those that come meanwhile, unless that is done already. */
  function start(): void {
    sending ??= sendAll().finally(() => {
      sending = undefined;
    });
  }

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) await sendBatch(waiting.splice(0, MAX_BATCH));
  }

  /** Until it is taken, refused for good, or the process ends. */
  async function sendBatch(batch: readonly Ended[]): Promise<void> {
    const body = bodyOf(batch, collector);
    for (let pause = RETRY_MS.first; ; pause = Math.min(2 * pause, RETRY_MS.most)) {
      const { refused, peaceMs = 0, why } = await attempt(body, batch.length);
      if (why !== undefined) onFailure(why);
      if (refused !== undefined || isEnding) {
        counts.dropped += refused ?? batch.length;
        counts.exported += batch.length - (refused ?? batch.length);
        return;
      }
      await new Promise<void>((resolve) => clock.after(Math.max(peaceMs, pause), resolve));
    }
  }

  /** How many of the batch the collector refused; without that the batch is to be sent again, after `peaceMs` at the earliest. */
  async function attempt(
    body: string,
    size: number,
  ): Promise<{ refused?: number; peaceMs?: number; why?: Error }> {
    try {
      const response = await send(collector.url, {
        method: "POST",
        headers: { "content-type": "application/json", ...collector.headers },
        body,
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.text();
      const why = new Error(`the collector of traces answers ${response.status}`);
      if (AGAIN.includes(response.status)) {
        const seconds = retryAfterOf(response.headers.get("retry-after"), clock.wall()) ?? 0;
        return { peaceMs: Math.min(seconds * 1_000, PEACE_MS), why };
      }
      if (!response.ok) return { refused: size, why };
      const refused = refusedOf(text);
      return refused === 0
        ? { refused }
        : { refused, why: new Error("the collector of traces refuses spans") };
    } catch (error) {
      return { why: new Error(`the collector of traces can't be reached: ${wordOf(error)}`) };
    }
  }

  return {
    take,
    hasRoom,
    exported: () => counts.exported,
    dropped: () => counts.dropped,
    /** Sends what waits, once. */
    async end(): Promise<void> {
      isEnding = true;
      start();
      await sending;
    },
  };
}

function bodyOf(batch: readonly Ended[], { resource, version }: Collector): string {
  const scope = { name: "coupon-drop", version };
  const scopeSpans = [{ scope, spans: batch.map(spanOf) }];
  return JSON.stringify({
    resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans }],
  });
}

/** Of an error of fetch(): its words may quote the address and the headers, which hold secrets; a code and a name don't. */
function wordOf(error: unknown): string {
  const { name, cause } = error as Error & { cause?: { code?: string } };
  return cause?.code ?? name;
}

/** How many spans a collector that took the batch did not take; 0 where its answer is none by the protocol. */
function refusedOf(text: string): number {
  try {
    return Math.max(0, Number(JSON.parse(text).partialSuccess?.rejectedSpans) || 0);
  } catch {
    return 0;
  }
}
