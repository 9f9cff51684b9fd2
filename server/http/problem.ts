/** Everything that isn't a success, as what the client is told of it. */
import type { z } from "zod";
import { DatabaseError } from "../database/functions.ts";
import { HungUp, Overloaded } from "../issuing/lane.ts";

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

/** What may become of any request, besides the outcomes of its command: the status and, unless more is known, the detail. */
export const failures = {
  invalid_request: { status: 400, detail: "The request is not as it should be." },
  unauthenticated: { status: 401, detail: "A bearer token is needed." },
  forbidden: { status: 403, detail: "The caller may not do this." },
  coupon_not_found: { status: 404, detail: "There is no such coupon." },
  no_such_route: { status: 404, detail: "There is nothing at this path." },
  request_timeout: { status: 408, detail: "The request did not arrive in time; nothing was done." },
  /** Nobody reads this one: it is for the log. */
  hung_up: { status: 499, detail: "The client hung up; nothing was done." },
  rate_limited: { status: 429, detail: "Too many requests of this user; nothing was done. Ask again later." },
  internal_error: { status: 500, detail: "This is our mistake, and was logged." },
  overloaded: { status: 503, detail: "Too many requests at once; nothing was done. Ask again." },
  database_unavailable: {
    status: 503,
    detail: "The database can't be reached; nothing was done. Ask again.",
  },
  outcome_unknown: {
    status: 503,
    detail: "The database did not answer; the request may have been done. Send the same request again.",
  },
  keys_unavailable: {
    status: 503,
    detail: "The keys of the tokens can't be reached; nothing was done. Ask again.",
  },
  metrics_unavailable: { status: 503, detail: "Not every worker answered. Ask again." },
  migrations_pending: { status: 503, detail: "The database is older than this server: run ./sd migrate." },
  server_too_old: {
    status: 503,
    detail: "The database is newer than this server knows: start the newer release.",
  },
  draining: { status: 503, detail: "This server is ending." },
} as const satisfies Record<string, { status: number; detail: string }>;

export type Failure = keyof typeof failures;

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
        { detail: "The database is busy; nothing was done. Ask again.", retryAfter: soon() },
        error,
      );
    case "unknown":
      return new Problem("outcome_unknown", { retryAfter: soon() }, error);
    case "defect":
      return new Problem("internal_error", {}, error);
  }
}
