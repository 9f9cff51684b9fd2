/** Who calls, for whom it acts, and how the audit names it. */
import type { Caller } from "../api/caller.ts";
import type { Operation } from "../api/contract.ts";
import type { Authenticate } from "../auth/auth.ts";
import { AGED_MS } from "../auth/revoked.ts";
import type { Clock } from "../clock.ts";
import type { Note, Undo } from "../database/commands.ts";
import type { Exchanges } from "../http/exchange.ts";
import { bearerOf } from "../http/headers.ts";
import { Problem } from "../http/problem.ts";
import { type Ctx, header } from "../http/request.ts";

/** What an operation says of who may call it. */
interface Rights {
  roles: NonNullable<Operation["roles"]>;
  scope: Operation["scope"] | undefined;
  /** A stream, a list or an upload: a key may be revoked meanwhile. */
  lasts: boolean;
}

/**
 * The caller of a request, if it may call the operation; else 401 or 403, and 429 where a user asks too often. Null for whoever sends no
 * token where none is needed.
 */
type CallerOf = (c: Ctx, operation: Rights, needsToken: boolean) => Promise<Caller | null>;

export function createCallerOf({
  authenticate,
  clock,
  exchanges,
}: {
  authenticate: Authenticate;
  clock: Pick<Clock, "after">;
  exchanges: Pick<Exchanges, "limit" | "distrusted">;
}): CallerOf {
  return async (c, rights, needsToken) => {
    const authorization = header(c, "authorization");
    if (authorization === undefined && !needsToken) return null;
    const token = bearerOf(authorization);
    const who =
      token === undefined
        ? null
        : await authenticate(token, (reason) => exchanges.distrusted(c.env.exchange, reason));
    if (who === null)
      throw new Problem(
        "unauthenticated",
        token === undefined ? {} : { detail: "The bearer token is not valid.", tokenError: "invalid_token" },
      );
    if (!mayCall(rights, who)) throw new Problem("forbidden", { detail: whyNot(rights, who) });
    const problem = who.role === "user" && exchanges.limit(c.env.exchange, who.user_id);
    if (problem) throw problem;
    if (rights.lasts && who.role !== "user" && who.key_id !== undefined)
      endWhenRevoked(c, async () => (await authenticate(token as string)) !== null, clock);
    return who;
  };
}

/** Breaks off what lasts once its key is good no more. While nobody can tell, it goes on. It looks whenever what is known has aged. */
function endWhenRevoked(
  { env: { outgoing } }: Ctx,
  isGood: () => Promise<boolean>,
  clock: Pick<Clock, "after">,
): void {
  if (outgoing === undefined) return;
  let callOff = () => {};
  const lookLater = () => {
    callOff = clock.after(AGED_MS, async () => {
      if (!(await isGood().catch(() => true))) outgoing.destroy();
      else if (!outgoing.destroyed) lookLater();
    });
  };
  lookLater();
  outgoing.once("close", () => callOff());
}

/** A key that is limited may call what is in its scopes, and nothing else. */
function mayCall({ roles, scope }: Rights, who: Caller): boolean {
  if (who.role === "user" || who.scopes === undefined) return roles.includes(who.role);
  return scope === "any" || (scope !== undefined && who.scopes.includes(scope));
}

function whyNot({ roles }: Rights, who: Caller): string {
  if (who.role === "till") return "The token of a till (scope use) may use a claim code, and undo that.";
  if (who.role === "user" || who.scopes === undefined) return `This takes the role ${roles.join(" or ")}.`;
  return `This token is limited to the scope ${who.scopes.join(" and ")}.`;
}

/** As the audit names a caller. */
export function actorOf({ role, subject }: Caller): string {
  return `${role}:${subject}`;
}

export function noteOf(who: Caller, reason: string | undefined): Note {
  return { actor: actorOf(who), reason };
}

/** Only an admin takes back what others used. */
export function undoOf(
  who: Caller,
  { reason, used_date }: { reason: string; used_date?: string | undefined },
): Undo {
  return { ...noteOf(who, reason), reason, onlyOwn: who.role !== "admin", usedDate: used_date };
}

/** A user acts for itself only; a service and an admin for whom they name. */
export function actsFor(who: Caller, user_id: number | undefined): number {
  if (who.role === "user") {
    if (user_id !== undefined && user_id !== who.user_id)
      throw new Problem("forbidden", { detail: "A user acts for itself only." });
    return who.user_id;
  }
  if (user_id === undefined)
    throw new Problem("invalid_request", {
      detail: `user_id: is needed from role ${who.role}`,
      errors: [{ member: "user_id", detail: `is needed from role ${who.role}` }],
    });
  return user_id;
}
