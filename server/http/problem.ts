/** Problems: what the client gets for everything that is not a success. */
import type { z } from "zod";
import { type Failure, failures, HungUp, Overloaded } from "../api/failures.ts";
import { DatabaseError } from "../database/errors.ts";

export interface ProblemMembers {
  /** For programs: an outcome of the command, or why there is none. */
  outcome: string;
  /** For a person. */
  detail: string;
  /** Which members of the request are wrong, and why. */
  errors?: { member: string; detail: string }[];
  /** Seconds to wait before sending the request again. */
  retryAfter?: number;
  /** What is wrong with the token that was given (RFC 6750), for `WWW-Authenticate`. */
  tokenError?: "invalid_token";
  [member: string]: unknown;
}

export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly members: ProblemMembers;

  /** `given` overrides the table; the cause is logged. */
  constructor(
    outcome: Failure,
    given: Partial<Omit<ProblemMembers, "outcome">> & { status?: number } = {},
    cause?: unknown,
  ) {
    const { status, ...members } = { ...failures[outcome], ...given };
    super(members.detail, { cause });
    this.status = status;
    this.members = { outcome, ...members };
  }
}

/** Whether an issue is that a member was not given: each schema has words of its own for it, which say what else was expected. */
const isMissing = (issue: z.core.$ZodIssue) =>
  issue.path.length > 0 && "input" in issue && issue.input === undefined;

/** Wrong members that a problem names: of a list of thousands the others are wrong alike. */
const MAX_ERRORS = 100;

/** Turns zod's issues, with `reportInput`, into a problem that names each wrong member once, with the first thing that is wrong. */
export function invalidRequest(error: z.ZodError, given = "the request"): Problem {
  const issues = error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({
          member: [...issue.path, key].join("."),
          detail: "is not a member of this request",
        }))
      : [{ member: issue.path.join("."), detail: isMissing(issue) ? "is needed" : issue.message }],
  );
  const named = new Map<string, (typeof issues)[number]>();
  for (const issue of issues) if (!named.has(issue.member)) named.set(issue.member, issue);
  const errors = [...named.values()].slice(0, MAX_ERRORS);
  const first = errors[0] as { member: string; detail: string };
  return new Problem("invalid_request", {
    detail: `${first.member || given}: ${first.detail}`,
    errors,
  });
}

/** The same for one member that no schema has seen. */
export function wrongMember(member: string, detail: string, cause?: unknown): Problem {
  return new Problem(
    "invalid_request",
    { detail: `${member}: ${detail}`, errors: [{ member, detail }] },
    cause,
  );
}

/** 1 to 3 s at random, so that clients that were refused together do not come back together. */
export const soon = () => 1 + Math.random() * 2;

/** Turns any error into the problem that the client gets, without internal details. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HungUp) return new Problem("hung_up");
  if (error instanceof Overloaded) return new Problem("overloaded", { retryAfter: soon() });
  if (!(error instanceof DatabaseError)) return new Problem("internal_error", {}, error);
  const { kind, subject = "", message } = error;
  switch (kind) {
    case "argument":
      return wrongMember(subject, message.slice(subject.length + 1), error);
    case "unavailable":
      return new Problem("database_unavailable", { retryAfter: soon() }, error);
    case "stalled":
      return new Problem("writes_stalled", { retryAfter: soon() }, error);
    case "busy":
    case "conflict":
      return new Problem(
        "overloaded",
        { detail: "The database is busy; nothing was done. Send the request again.", retryAfter: soon() },
        error,
      );
    case "unknown":
      return new Problem("outcome_unknown", { retryAfter: soon() }, error);
    case "defect":
      return new Problem("internal_error", {}, error);
  }
}
