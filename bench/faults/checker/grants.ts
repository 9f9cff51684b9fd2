/** Each grant that was told is in the database, and each one in the database was asked for, once. */
import { type Facts, type Findings, grouped, holding, ms, said } from "./facts.ts";

export function* grantIsKept({ issues, grants }: Facts): Findings {
  for (const [key, attempts] of issues) {
    const grant = grants.get(key);
    for (const { answer, answeredAt } of attempts)
      if (answer.is === "ok")
        yield (grant && answer.position === grant.position && answer.at === grant.issued_at) ||
          `${key} was told ${said(answer)} at ${ms(answeredAt)}, the database has ${
            grant ? `position ${grant.position} of ${grant.issued_at}` : "nothing"
          }`;
  }
}

export function* grantWasAskedFor({ issues, grants }: Facts): Findings {
  for (const key of grants.keys()) yield issues.has(key) || `${key} was granted and never asked`;
}

export function* oneGrantARequest({ issues, state }: Facts): Findings {
  for (const [key, attempts] of issues) {
    const told = attempts.filter(({ answer }) => answer.is === "ok" && answer.outcome === "issued");
    yield told.length <= 1 || `${key} was told issued ${told.length} times`;
  }
  for (const [key, rows] of grouped(state.grants, holding))
    yield rows.length === 1 || `${key} has ${rows.length} rows`;
}
