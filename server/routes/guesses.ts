/**
 * Claim codes that are none, counted for each caller: who has sent ten in ten seconds waits for a second before each further code, and a
 * second for each that was sent beside them. So a token with which somebody guesses comes to 86,400 codes a day of a process, of 2^54 for
 * each grant that can be used.
 */
import { createHash } from "node:crypto";
import type { Caller } from "../api/caller.ts";
import type { Clock } from "../clock.ts";
import { Problem } from "../http/problem.ts";
import { createRateLimit } from "../http/rate-limit.ts";
import { actorOf } from "./caller.ts";

/** In ten seconds. */
const MAX_MISSES = 10;

interface Guesses {
  /** Does it unless this caller has to wait, and counts it if there was no such code. */
  of<Answer extends { outcome: string }>(who: Caller, ask: () => Promise<Answer>): Promise<Answer>;
}

export function createGuesses(clock: Pick<Clock, "now">): Guesses {
  const misses = createRateLimit(MAX_MISSES, clock);
  return {
    async of(who, ask) {
      const id = idOf(who);
      const { allowed, resetIn } = misses.look(id);
      if (!allowed)
        throw new Problem("rate_limited", {
          detail:
            "Too many codes from this caller were none; nothing was done. Send the request again later.",
          retryAfter: resetIn,
        });
      const answer = await ask();
      if (answer.outcome === "claim_not_found") misses.charge(id);
      return answer;
    },
  };
}

/** A number for a caller that is no user, of 48 bits of a digest. */
function idOf(who: Caller): number {
  return createHash("sha256").update(actorOf(who)).digest().readUIntBE(0, 6);
}
