/** Each use that was told is in the database unless it was taken back, and each one in the database was asked for, once. */
import type { FinalState } from "../history.ts";
import { type Facts, type Findings, type Grant, grouped, holding, mayBeDone, ms, said } from "./facts.ts";
import { isNamed, isSameUse, undoneFrom } from "./tills.ts";

export function* useIsKept(facts: Facts): Findings {
  const { uses, undos, grants } = facts;
  const there = (grant: Grant | undefined) =>
    `the database has ${grant?.used_date ? `${grant.use_reference} of ${grant.used_date}` : "no use"}`;
  for (const [key, attempts] of uses) {
    const grant = grants.get(key);
    for (const attempt of attempts) {
      const { ask, answer, answeredAt } = attempt;
      if (answer.is !== "ok") continue;
      const isThere = grant && answer.at === grant.used_date && isNamed(facts, ask, grant.use_reference);
      yield isThere ||
        undoneFrom(facts, attempt) < Number.POSITIVE_INFINITY ||
        `${key} was told ${said(answer)} at ${ms(answeredAt)}, ${there(grant)}`;
    }
  }
  for (const [key, attempts] of undos)
    for (const { answer, answeredAt } of attempts)
      if (answer.is === "ok")
        yield grants.get(key)?.used_date !== answer.at ||
          `${key} was told ${said(answer)} at ${ms(answeredAt)}, ${there(grants.get(key))}`;
}

export function* useWasAskedFor(facts: Facts): Findings {
  const { uses, undos, grants, state } = facts;
  for (const [key, { use_reference, used_date }] of grants)
    if (use_reference !== null || used_date !== null)
      yield uses.get(key)?.some(({ ask }) => isNamed(facts, ask, use_reference)) ||
        `${key} was used as ${use_reference}`;
  for (const { isUndo, used_date, ...use } of state.uses)
    if (isUndo)
      yield undos.get(holding(use))?.some(({ ask, answer }) => ask.used === used_date && mayBeDone(answer)) ||
        `${holding(use)}: the use of ${used_date} was taken back`;
}

export function* usedOnce(facts: Facts): Findings {
  const { grants, uses, state } = facts;
  const audited = grouped(state.uses, holding);
  for (const [key, told] of audited)
    yield isOneAtATime(told, grants.get(key)) ||
      `${key}: the audit tells ${told.map(({ reference, isUndo }) => `${reference}${isUndo ? " undone" : ""}`).join(", ")}`;
  for (const [key, { used_date }] of grants)
    if (used_date !== null) yield audited.has(key) || `${key} is used, and the audit doesn't know`;
  for (const [key, attempts] of uses) {
    const told = attempts.filter(({ answer }) => answer.is === "ok");
    for (const [i, one] of told.entries())
      for (const other of told.slice(i + 1)) {
        const undone = Math.min(undoneFrom(facts, one), undoneFrom(facts, other));
        const isLater = Math.max(one.answeredAt, other.answeredAt) > undone;
        yield isSameUse(one, other) ||
          isLater ||
          `${key} was told two uses, at ${ms(one.answeredAt)} and ${ms(other.answeredAt)}`;
      }
  }
}

/** A use, its undo, another use and so on; what comes last is in the grant. */
function isOneAtATime(told: FinalState["uses"], grant: Grant | undefined): boolean {
  const last = told.at(-1);
  const stands = last?.isUndo ? undefined : last;
  return (
    told.every(
      ({ isUndo, used_date }, i) =>
        isUndo === (i % 2 === 1) && (!isUndo || used_date === told[i - 1]?.used_date),
    ) &&
    (grant?.used_date ?? undefined) === stands?.used_date &&
    (grant?.use_reference ?? undefined) === stands?.reference
  );
}
