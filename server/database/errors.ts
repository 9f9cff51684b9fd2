/** What a failed call means for the caller: maps the driver's errors and PostgreSQL's SQLSTATEs to a kind. */
import { isNoSession } from "../../db/errors.ts";

/** A call that failed. */
export class DatabaseError extends Error {
  override readonly name = "DatabaseError";
  /**
   * unavailable: not done, because the database cannot be reached. busy: not done, because a lock or a statement took too long.
   * conflict: not done, because a constraint or a concurrent transaction refused it. unknown: it was sent, and no answer came; it may
   * have been done. argument: a mistake of the caller. defect: a mistake of this program.
   */
  readonly kind: "unavailable" | "busy" | "conflict" | "unknown" | "argument" | "defect";
  readonly sqlstate: string;
  /** The name of the constraint that refused, or of the wrong argument. */
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

/** Our code for a connection that was accepted and then closed or reset before it answered: no call was sent. */
export const HUNG_UP = "HUNG_UP";

/** The driver's code for a call on a closed pool. */
const CONNECTION_ENDED = "CONNECTION_ENDED";

/** SQLSTATE undefined_function: the database is older than this server, or empty. */
export const UNDEFINED_FUNCTION = "42883";

/** SQLSTATE read_only_sql_transaction: a standby, or default_transaction_read_only is on. */
export const READ_ONLY = "25006";

/** A prepared statement that another session has, or has already: a pooler in transaction mode. Such a call was not run. */
const PREPARED_ELSEWHERE = ["26000", "42P05"];

/** PgBouncer's errors of a call that it did not pass on; it gives all of its errors the SQLSTATE 08P01. */
const NOT_PASSED_ON =
  /^(query_wait_timeout|server login has been failing|pgbouncer cannot connect to server)/;

/**
 * The driver's errors and PostgreSQL's SQLSTATEs, by what they mean for the caller. What was not sent was not done, whatever the
 * error is.
 */
export function explain(error: unknown, isSent = true): DatabaseError {
  const explained = explainSent(error);
  if (isSent || explained.kind !== "unknown") return explained;
  return new DatabaseError("unavailable", explained.sqlstate, explained.message, explained.subject, error);
}

function explainSent(error: unknown): DatabaseError {
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
  if (code === READ_ONLY || PREPARED_ELSEWHERE.includes(code)) return as("unavailable");
  if (code === "08P01" && NOT_PASSED_ON.test(message)) return as("unavailable");
  // Rolled back: waited too long for a lock, ran too long, no disk space.
  if (["55P03", "57014", "53100", "53200"].includes(code)) return as("busy");
  if (/^(23|40)...$/.test(code)) return as("conflict", constraint_name);
  // Not an argument, which our functions name: the service's time zone is gone from the database's zone data.
  if (code === "22023" && column_name === undefined) return as("defect");
  if (/^22...$/.test(code)) return as("argument", column_name);
  // No answer, or PostgreSQL's last message before it closes the connection: the commit may have happened before.
  if (!/^[0-9A-Z]{5}$/.test(code) || /^(08|57P|58|XX)/.test(code)) return as("unknown");
  return as("defect");
}
