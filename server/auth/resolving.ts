/**
 * Which users the subjects of identity providers are. Each token asks once, since whoever is known by its token has a number. At the start
 * of a drop many come at once, so questions are batches: one in flight for each provider, and the next one takes all that wait.
 */
import { type Clock, systemClock } from "../clock.ts";
import { DatabaseError } from "../database/errors.ts";
import type { Db } from "../database/functions.ts";
import { createLanes, type LaneLimits } from "../issuing/lane.ts";

/** A user as the token of a provider names it. */
export interface Subject {
  issuer: string;
  subject: string;
  /** For a new user; null: it has none. */
  displayName: string | null;
}

/** Subjects in one call of resolve_subjects(), subjects that wait, and how long. */
const LIMITS: LaneLimits = { maxBatch: 1_000, maxQueue: 20_000, maxWaitMs: 2_000 };

/**
 * Returns what asks for the number of a subject; with `creating`, a new subject becomes a user. It resolves with null for nobody, and
 * rejects with Overloaded or a DatabaseError: then it may be asked again, whatever was done.
 */
export function createResolving(db: Pick<Db, "resolveSubjects">, clock: Clock = systemClock) {
  /** Providers, each with a lane that creates users and one that does not. */
  const issuers: string[] = [];
  const asked = new Map<string, Promise<number | null>>();

  const lanes = createLanes(
    async (lane: number, subjects: Subject[]) => {
      const rows = await db
        .resolveSubjects(issuers[lane >> 1] as string, subjects, lane % 2 === 1)
        .catch((error) => {
          throw again(error);
        });
      return rows.map(({ user_id }) => user_id);
    },
    LIMITS,
    clock,
  );

  function laneOf(issuer: string, creating: boolean): number {
    const known = issuers.indexOf(issuer);
    return 2 * (known === -1 ? issuers.push(issuer) - 1 : known) + Number(creating);
  }

  return (subject: Subject, creating: boolean): Promise<number | null> => {
    const key = JSON.stringify([subject.issuer, subject.subject, creating]);
    const asking =
      asked.get(key) ??
      lanes.submit(laneOf(subject.issuer, creating), subject).finally(() => asked.delete(key));
    asked.set(key, asking);
    return asking;
  };
}

/** The request itself was not begun, and a user who was created is found the next time: nothing is unknown. */
function again(error: unknown): unknown {
  if (!(error instanceof DatabaseError) || error.kind !== "unknown") return error;
  return new DatabaseError("unavailable", error.sqlstate, error.message, error.subject, error);
}
