/** What a failed call means for the caller: the driver's errors and PostgreSQL's SQLSTATEs, by kind. */
import { isNoSession } from "../../db/errors.ts";

/** What a call that got no answer from its function came to. */
export class DatabaseError extends Error {
  override readonly name = "DatabaseError";
  /**
   * unavailable: it was not done, the database can't be reached. busy: it was not done, a lock or a statement took too
   * long. conflict: it was not done, a constraint or a concurrent transaction refused it. unknown: sent, and then no
   * answer. argument: the caller's mistake. defect: ours.
   */
  readonly kind: "unavailable" | "busy" | "conflict" | "unknown" | "argument" | "defect";
  readonly sqlstate: string;
  /** Of the constraint that refused, or of the argument that is wrong. */
  readonly subject: string | undefined;

  constructor(
    kind: DatabaseError["kind"],
    sqlstate: string,
    message: string,
    subject?: string,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.kind = kind;
    this.sqlstate = sqlstate;
    this.subject = subject;
  }
}

/** Our own code for a connection that was accepted and closed, or reset, before a word came back: no call was sent. */
export const HUNG_UP = "HUNG_UP";

/** The driver's, for a call on a pool that was closed. */
const CONNECTION_ENDED = "CONNECTION_ENDED";

/** SQLSTATE undefined_function: the database is older than this server, or empty. */
export const UNDEFINED_FUNCTION = "42883";

/** The driver's errors and PostgreSQL's SQLSTATEs, by what they mean for the caller. */
export function explain(error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const {
    code = "",
    message,
    constraint_name,
    column_name,
  } = error as {
    code?: string;
    message: string;
    constraint_name?: string;
    column_name?: string;
  };
  const as = (kind: DatabaseError["kind"], subject?: string) =>
    new DatabaseError(kind, code, message, subject, error);

  if (code === HUNG_UP || code === CONNECTION_ENDED || isNoSession(code)) return as("unavailable");
  // Rolled back by the database: waited too long for a lock, ran too long, no space, standby.
  if (["55P03", "57014", "53100", "53200", "25006"].includes(code)) return as("busy");
  if (/^(23|40)...$/.test(code)) return as("conflict", constraint_name);
  if (/^22...$/.test(code)) return as("argument", column_name);
  // Not an answer of PostgreSQL, or its last word on a connection that it closes: the commit may have come before.
  if (!/^[0-9A-Z]{5}$/.test(code) || /^(08|57P|58|XX)/.test(code)) return as("unknown");
  return as("defect");
}
