/** What a failed call means for the caller: maps the driver's errors and PostgreSQL's SQLSTATEs to a kind. */
import { isNoSession, reasonOf as reasonOfCode } from "../../db/errors.ts";

/** What an operator looks for: which rule of which table refused. */
interface Place {
  schema?: string | undefined;
  table?: string | undefined;
  constraint?: string | undefined;
}

/** A call that failed. */
export class DatabaseError extends Error {
  override readonly name = "DatabaseError";
  /**
   * unavailable: not done, because the database cannot be reached. busy: not done, because a lock or a statement took too long.
   * stalled: not done, because commits wait for a synchronous standby that does not answer.
   * conflict: not done, because of a concurrent transaction, or so it may be: the same call again may go through. unknown: it was sent,
   * and no answer came; it may have been done. argument: a mistake of the caller. defect: a mistake of this program or in this
   * database, which no retry cures.
   */
  readonly kind: "unavailable" | "busy" | "stalled" | "conflict" | "unknown" | "argument" | "defect";
  readonly sqlstate: string;
  /** The name of the wrong argument, or of the setting that is not as it must be. */
  readonly subject: string | undefined;
  readonly place: Place;

  constructor(
    kind: DatabaseError["kind"],
    sqlstate: string,
    message: string,
    subject?: string,
    cause?: unknown,
    place: Place = {},
  ) {
    super(message, { cause });
    this.kind = kind;
    this.sqlstate = sqlstate;
    this.subject = subject;
    this.place = place;
  }
}

/** The driver's code for a call on a closed pool. */
const CONNECTION_ENDED = "CONNECTION_ENDED";

/** SQLSTATEs undefined_function and insufficient_privilege: the database is older than this server, empty, or was changed by hand. */
export const NOT_CALLABLE: readonly string[] = ["42883", "42501"];

/** SQLSTATE read_only_sql_transaction: a standby, or default_transaction_read_only is on. */
export const READ_ONLY = "25006";

/**
 * What an error means that ended the statement and not the session: PostgreSQL rolled back, so nothing was done. By SQLSTATE or else by
 * its class (first two characters). What is not here is a defect.
 */
const ROLLED_BACK: Record<string, DatabaseError["kind"] | undefined> = {
  // A constraint. A change by hand, made meanwhile, may be the reason; if it refuses again, none is.
  "23": "conflict",
  [READ_ONLY]: "unavailable",
  // A prepared statement that another session has, or has already: a pooler in transaction mode. Such a call was not run.
  ...{ "26000": "unavailable", "42P05": "unavailable" },
  // Serialization failure, deadlock.
  "40": "conflict",
  // No disk space, no memory.
  "53": "busy",
  // Waited too long for a lock, ran too long.
  ...{ "55P03": "busy", "57014": "busy" },
};

/** PgBouncer's errors of a call that it did not pass on; it gives all of its errors the SQLSTATE 08P01. */
const NOT_PASSED_ON =
  /^(query_wait_timeout|server login has been failing|pgbouncer cannot connect to server)/;

/** The driver's codes (postgres 3.4.9) for calls that cannot be sent to any database. */
const MISUSED = ["UNDEFINED_VALUE", "MAX_PARAMETERS_EXCEEDED", "NOT_TAGGED_CALL", "UNSAFE_TRANSACTION"];

/** What the driver and PostgreSQL tell of an error. */
interface Told {
  code?: string;
  message: string;
  severity?: string;
  severity_local?: string;
  schema_name?: string;
  table_name?: string;
  constraint_name?: string;
  column_name?: string;
  /** The functions that were running, the innermost first; the words around their names are translated. */
  where?: string;
}

/**
 * What an error of a call to `host` means for the caller. What was not sent was not done, whatever the error is. The driver (postgres 3.4.9)
 * does not know where a socket leads that it was given, once it speaks TLS through it.
 */
export function explain(error: unknown, isSent = true, host = ""): DatabaseError {
  if (error instanceof DatabaseError && (isSent || error.kind !== "unknown")) return error;
  const told = error as Told & { sqlstate?: string };
  const { code = told.sqlstate ?? "" } = told;
  const message = told.message.replace("undefined:undefined", host);
  const kind = isSent ? kindOf(told, code) : kindOfUnsent(told, code);
  return new DatabaseError(kind, code, message, kind === "argument" ? told.column_name : undefined, error, {
    schema: told.schema_name,
    table: told.table_name,
    constraint: told.constraint_name,
  });
}

function kindOfUnsent(error: unknown, code: string): DatabaseError["kind"] {
  const isMistake = (code === "" && !(error instanceof DatabaseError)) || MISUSED.includes(code);
  return isMistake ? "defect" : "unavailable";
}

/**
 * Whether a function of ours named the argument that it refuses. Every other data exception is a computation that failed, in somebody's
 * trigger or in a function: whoever called cannot mend that.
 */
function isRefusedArgument({ column_name, where = "" }: Told, code: string): boolean {
  const [innermost = ""] = where.replaceAll('"', "").split("\n"); // with quote_all_identifiers names are quoted
  return (
    code.startsWith("22") &&
    column_name !== undefined &&
    innermost.includes("coupon.refuse_argument(text,text)")
  );
}

function kindOf(told: Told, code: string): DatabaseError["kind"] {
  const { message, severity_local, severity = severity_local } = told;
  if (code === "" || MISUSED.includes(code)) return "defect";
  if (code === CONNECTION_ENDED || isNoSession(code)) return "unavailable";
  if (code === "08P01" && NOT_PASSED_ON.test(message)) return "unavailable";
  // No answer, or PostgreSQL's last message before it closes the connection: the commit may have happened before.
  if (severity !== "ERROR" || code === "40003") return "unknown";
  if (isRefusedArgument(told, code)) return "argument";
  return ROLLED_BACK[code] ?? ROLLED_BACK[code.slice(0, 2)] ?? "defect";
}

/** What it means that the same call was refused again: a constraint that does so twice is no concurrent transaction. */
export function lasting(error: DatabaseError): DatabaseError {
  if (error.kind !== "conflict" || !error.sqlstate.startsWith("23")) return error;
  const { sqlstate, message, subject, cause, place } = error;
  return new DatabaseError("defect", sqlstate, message, subject, cause, place);
}

/** What is refused because of a value: cardinality, data, constraints, views' checks, and what a trigger raises. */
const OF_A_VALUE = /^(21|22|23|44|P0)/;

/** Whether one of the values of a call may be the reason: then the call with fewer of them may go through. */
export function mayBeOfOneValue(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  const { kind, sqlstate } = error;
  return kind === "conflict" || kind === "argument" || (kind === "defect" && OF_A_VALUE.test(sqlstate));
}

/** Why the database cannot be reached, for whoever asks whether this server is ready; undefined if that is not known. */
export function reasonOf({ sqlstate, message, subject }: DatabaseError): string | undefined {
  if (sqlstate === READ_ONLY || subject !== undefined) return message;
  return reasonOfCode(sqlstate);
}
