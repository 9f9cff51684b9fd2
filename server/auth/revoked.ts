/**
 * Keys that were revoked before they expired. Their ids are read when a token with an id is used and what is known is old, so nobody who
 * asks as a user pays for it, and an idle server asks nothing.
 */
import type { Caller } from "../api/caller.ts";
import type { Clock } from "../clock.ts";
import { refuse, type Told } from "./refusals.ts";

/** The ids are read again when they are needed and this old, ms. Requests do not wait for that … */
export const AGED_MS = 15_000;
/** … unless they are this old: with the deadline of a call, a key that was revoked is not taken any more within a minute. */
const KEPT_MS = 45_000;
/** After a failure they are asked for in the background at most this often, ms. */
const RETRY_MS = 1_000;

/** Whether the key with this id is revoked. */
type IsRevoked = (keyId: string) => boolean | Promise<boolean>;

/** What says whether a key is revoked. It rejects while that cannot be known. `report` gets the error of a question that nobody waited for. */
export function createRevoked(
  revokedKeys: () => Promise<readonly string[]>,
  clock: Pick<Clock, "now">,
  report: (error: unknown) => void,
): IsRevoked {
  let ids: ReadonlySet<string> = new Set();
  /** When the question was sent whose answer is known. */
  let knownAt = -Infinity;
  let askedAt = -Infinity;
  let asking: Promise<void> | undefined;

  async function read(): Promise<void> {
    askedAt = clock.now();
    const sentAt = askedAt;
    ids = new Set(await revokedKeys());
    knownAt = sentAt;
  }

  function ask(): Promise<void> {
    asking ??= read().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  return (keyId) => {
    const now = clock.now();
    if (now - knownAt >= KEPT_MS) return ask().then(() => ids.has(keyId));
    if (now - knownAt >= AGED_MS && now - askedAt >= RETRY_MS && asking === undefined) ask().catch(report);
    return ids.has(keyId);
  };
}

/** Null for a key that is revoked. A user's token has no id: it costs nothing. */
export function unlessRevoked(
  caller: Caller,
  isRevoked: IsRevoked,
  told?: Told,
): Caller | null | Promise<Caller | null> {
  if (caller.role === "user" || caller.key_id === undefined) return caller;
  const unless = (isIt: boolean) => (isIt ? refuse(told, "revoked") : caller);
  const isGone = isRevoked(caller.key_id);
  return isGone instanceof Promise ? isGone.then(unless) : unless(isGone);
}
