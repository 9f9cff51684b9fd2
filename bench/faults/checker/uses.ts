/** Each use that was told is in the database, and each one in the database was asked for, once. */
import { type Facts, type Findings, grouped, holding, ms, said } from "./facts.ts";

export function* useIsKept({ uses, grants }: Facts): Findings {
  for (const [key, attempts] of uses) {
    const grant = grants.get(key);
    for (const { ask, answer, answeredAt } of attempts)
      if (answer.is === "ok")
        yield (grant && ask.reference === grant.use_reference && answer.at === grant.used_date) ||
          `${key} was told ${said(answer)} at ${ms(answeredAt)}, the database has ${
            grant?.used_date ? `${grant.use_reference} of ${grant.used_date}` : "no use"
          }`;
  }
}

export function* useWasAskedFor({ uses, grants }: Facts): Findings {
  for (const [key, { use_reference, used_date }] of grants)
    if (use_reference !== null || used_date !== null)
      yield uses.get(key)?.some(({ ask }) => ask.reference === use_reference) ||
        `${key} was used as ${use_reference}`;
}

export function* usedOnce({ grants, state }: Facts): Findings {
  const audited = grouped(state.uses, holding);
  for (const [key, told] of audited)
    yield (told.length === 1 && told[0]?.reference === grants.get(key)?.use_reference) ||
      `${key}: the audit tells ${told.map(({ reference }) => reference).join(", ")}`;
  for (const [key, { used_date }] of grants)
    if (used_date !== null) yield audited.has(key) || `${key} is used, and the audit doesn't know`;
}
