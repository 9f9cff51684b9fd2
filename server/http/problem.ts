/** Everything that isn't a success, as what the client is told of it. */
import type { z } from "zod";
import { type Failure, failures, HungUp, Overloaded } from "../api/failures.ts";
import { DatabaseError } from "../database/errors.ts";

export interface ProblemMembers {
  /** Machine-readable: an outcome of the command, or why it has none. */
  outcome: string;
  /** For a person. */
  detail: string;
  /** Which members of the request are wrong, and why. */
  errors?: { member: string; detail: string }[];
  /** Seconds to wait before sending the request again. */
  retryAfter?: number;
  [member: string]: unknown;
}

export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly members: ProblemMembers;

  /** Whatever of `given` differs from the table; a cause is logged. */
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

/** What zod found, member by member, in what was given. */
export function invalidRequest(error: z.ZodError, given = "the request"): Problem {
  const errors = error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({
          member: [...issue.path, key].join("."),
          detail: "is not a member of this request",
        }))
      : [{ member: issue.path.join("."), detail: issue.message }],
  );
  const first = errors[0] as { member: string; detail: string };
  return new Problem("invalid_request", {
    detail: `${first.member || given}: ${first.detail}`,
    errors,
  });
}

/** 1 to 3 s, at random, so that those who are refused together don't come back together. */
const soon = () => 1 + Math.random() * 2;

/** Any error as the problem that the client is told; nothing of ours shows. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HungUp) return new Problem("hung_up");
  if (error instanceof Overloaded) return new Problem("overloaded", { retryAfter: soon() });
  if (!(error instanceof DatabaseError)) return new Problem("internal_error", {}, error);
  const { kind, subject, message } = error;
  switch (kind) {
    case "argument":
      return new Problem(
        "invalid_request",
        subject
          ? { detail: message, errors: [{ member: subject, detail: message.slice(subject.length + 1) }] }
          : { detail: "A value in the request can't be stored." },
        error,
      );
    case "unavailable":
      return new Problem("database_unavailable", { retryAfter: soon() }, error);
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
