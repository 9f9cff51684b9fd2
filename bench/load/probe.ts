/** Asks the same again and again, at a low rate, while something else is measured. */
import type { Shot } from "../harness/tokens.ts";
import { evenly, fly, greet, openPool, wire } from "./open-loop.ts";

export interface Probed {
  sent: number;
  /** Answers other than 200, and lost ones. */
  failed: number;
  /** The slowest answer of any status, ms. */
  slowest: number;
}

const CONNECTIONS = 32;
/** So long it goes on if nobody ends it, s. */
const LONGEST_S = 120;

/** Sends `perSecond` shots a second until the signal, and waits for their answers. */
export async function probe(
  url: string,
  perSecond: number,
  shot: (sent: number) => Shot,
  signal: AbortSignal,
): Promise<Probed> {
  const { host } = new URL(url);
  const pool = await openPool(url, CONNECTIONS);
  try {
    await greet(pool, host);
    const { sent, answers } = await fly(pool, {
      due: evenly(perSecond, LONGEST_S),
      request: (number) => wire(shot(number), host),
      patience: 60_000,
      signal,
    });
    const took = Object.values(answers).flatMap((each) => each.took);
    return { sent, failed: sent - (answers[200]?.took.length ?? 0), slowest: Math.max(0, ...took) };
  } finally {
    pool.close();
  }
}
