/** Everything that isn't a success, as what the client is told of it. */
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { z } from "zod";
import { DatabaseError } from "./db.ts";
import { HungUp, Overloaded } from "./lane.ts";

export interface ProblemMembers {
  /** Machine-readable: an outcome of the command, or why it has none. */
  outcome: string;
  /** For a person. */
  detail: string;
  /** Which members of the request are wrong, and why. */
  errors?: { member: string; detail: string }[];
  /** Seconds after which asking again may help. */
  retryAfter?: number;
  [member: string]: unknown;
}

export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: ContentfulStatusCode;
  readonly members: ProblemMembers;

  constructor(status: ContentfulStatusCode, members: ProblemMembers, cause?: unknown) {
    super(members.detail, { cause });
    this.status = status;
    this.members = members;
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
  return new Problem(400, {
    outcome: "invalid_request",
    detail: `${first.member || given}: ${first.detail}`,
    errors,
  });
}

/** 1 to 3 s, at random, so that those who are refused together don't come back together. */
const soon = () => 1 + Math.random() * 2;

/** Any error as the problem that the client is told; nothing of ours shows. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HungUp)
    return new Problem(499 as ContentfulStatusCode, { outcome: "hung_up", detail: "Nobody reads this." });
  if (error instanceof Overloaded)
    return new Problem(503, {
      outcome: "overloaded",
      detail: "Too many requests at once; nothing was done. Ask again.",
      retryAfter: soon(),
    });
  if (error instanceof DatabaseError) {
    switch (error.kind) {
      case "argument":
        return new Problem(
          400,
          {
            outcome: "invalid_request",
            detail: error.subject ? error.message : "A value in the request can't be stored.",
            ...(error.subject
              ? { errors: [{ member: error.subject, detail: error.message.slice(error.subject.length + 1) }] }
              : {}),
          },
          error,
        );
      case "unavailable":
        return new Problem(
          503,
          {
            outcome: "database_unavailable",
            detail: "The database can't be reached; nothing was done. Ask again.",
            retryAfter: soon(),
          },
          error,
        );
      case "busy":
      case "conflict":
        return new Problem(
          503,
          {
            outcome: "overloaded",
            detail: "The database is busy; nothing was done. Ask again.",
            retryAfter: soon(),
          },
          error,
        );
      case "unknown":
        return new Problem(
          503,
          {
            outcome: "outcome_unknown",
            detail:
              "The database did not answer; the request may have been done. Send the same request again.",
            retryAfter: soon(),
          },
          error,
        );
    }
  }
  return new Problem(
    500,
    { outcome: "internal_error", detail: "This is our mistake, and was logged." },
    error,
  );
}
