/**
 * The only file that knows the driver: one method per function of the database, and what a failure means for the caller.
 */
import { connect as connectSocket } from "node:net";
import postgres from "postgres";
import type { z } from "zod";
import type { Command, Outcome } from "../api/outcomes.ts";
import type { couponStats, couponStatuses, newCoupon, offer, wallet } from "../api/schemas.ts";
import type { CommonRefusal } from "../issuing/lease.ts";

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

/** An instant, RFC 3339 in UTC with all digits that PostgreSQL keeps. */
type Instant = string;
/** A length of time in seconds. */
type Seconds = number;

export type Offer = z.infer<typeof offer>;
type CouponStatus = z.infer<typeof couponStatuses>["coupons"][number];
type Wallet = z.infer<typeof wallet>;

type NewCoupon = Omit<z.infer<typeof newCoupon>, "reason">;

export interface Issue {
  outcome: Outcome<"issue_coupon">;
  user_id: number;
  position: number | null;
  issued_on: string | null;
  issued_at: Instant | null;
  starts_in: Seconds | null;
}

/** One of a coupon's list. */
export interface Grant {
  position: number;
  user_id: number;
  issued_on: string;
  issued_at: Instant;
  used_date: Instant | null;
  use_reference: string | null;
}

/** valid_for and starts_in count from when it was asked for. */
export type Lease =
  | { outcome: "coupon_not_found" | "not_leased" }
  | {
      outcome: "leased";
      refusal: CommonRefusal;
      valid_for: Seconds;
      starts_in: Seconds | null;
      issued: number;
      holders: number[];
    };

/** Names of migrations, "20261122000001" say: what the database stands at, and what a server must know at least. */
export interface SchemaVersion {
  migration: string | null;
  oldest_server: string;
}

/** What the audit is told: on whose behalf, "admin:root" say, and why. */
export interface Note {
  actor: string;
  reason?: string | undefined;
}

export interface Use<C extends Command> {
  outcome: Outcome<C>;
  used_date: Instant | null;
  use_reference: string | null;
}

export type Db = ReturnType<typeof connectDb>;
export type Pools = Db["pools"];

/** Deadline of a call: beyond the role's statement_timeout (5 s), so that only a lost database gets here. */
const CALL_MS = 6_000;

/** Connections, by what they are for: a slow list must not stand before a grant. */
const POOLS = { issue: 4, command: 8, read: 4 } as const;
/** Calls that may wait for a connection of a pool, and how long; beyond it they are refused, the database untouched. */
const MAX_WAITING = 2_000;
const MAX_WAIT_MS = 2_000;

export function connectDb(url: string, options: { callMs?: number } = {}) {
  const callMs = options.callMs ?? CALL_MS;
  const issue = createPool(url, POOLS.issue, callMs);
  const command = createPool(url, POOLS.command, callMs);
  const read = createPool(url, POOLS.read, callMs);

  return {
    issueCoupons: (couponId: number, userIds: readonly number[]) =>
      issue<Issue>(
        (sql) => sql`
          select outcome, user_id, position, issued_on, issued_at, starts_in
          from issue_coupons(coupon_id => ${couponId}::bigint, user_ids => ${arrayOf(userIds)}::bigint[])
        `,
      ),

    couponLease: (couponId: number, knownPosition: number) =>
      command<Lease>(
        (sql) => sql`
          select outcome, refusal, valid_for, starts_in, issued, to_json(holders) as holders
          from coupon_lease(coupon_id => ${couponId}::bigint, known_position => ${knownPosition}::integer)
        `,
      ).then(only),

    useCoupon: (userId: number, couponId: number, reference: string, actor: string) =>
      command<Use<"use_coupon">>(
        (sql) => sql`
          select outcome, used_date, use_reference
          from use_coupon(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, reference => ${reference}::text,
            actor => ${actor}::text)
        `,
      ).then(only),

    undoUse: (userId: number, couponId: number, note: Note & { reason: string }) =>
      command<Use<"undo_use">>(
        (sql) => sql`
          select outcome, used_date, use_reference
          from undo_use(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, ${noted(sql, note)})
        `,
      ).then(only),

    createCoupon: (coupon: NewCoupon, note: Note) =>
      command<{
        outcome: Outcome<"create_coupon">;
        coupon_id: number | null;
        live_on: string | null;
        slot: number | null;
      }>(
        (sql) => sql`
          select outcome, coupon_id, live_on, slot
          from create_coupon(
            code => ${coupon.code}::text, message => ${coupon.message}::text,
            description => ${coupon.description}::text, start_time => ${coupon.start_time}::text::timestamptz,
            expiry => ${coupon.expiry}::text::timestamptz, count => ${coupon.count}::integer,
            metadata => ${JSON.stringify(coupon.metadata)}::text::jsonb, ${noted(sql, note)})
        `,
      ).then(only),

    pauseCoupon: (couponId: number, note: Note) =>
      command<{ outcome: Outcome<"pause_coupon"> }>(
        (sql) => sql`select outcome from pause_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    resumeCoupon: (couponId: number, note: Note) =>
      command<{ outcome: Outcome<"resume_coupon"> }>(
        (sql) =>
          sql`select outcome from resume_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    setCouponCount: (couponId: number, count: number, note: Note) =>
      command<{ outcome: Outcome<"set_coupon_count">; issued: number | null; remaining: number | null }>(
        (sql) => sql`
          select outcome, issued, remaining
          from set_coupon_count(
            coupon_id => ${couponId}::bigint, count => ${count}::integer, ${noted(sql, note)})
        `,
      ).then(only),

    setCouponExpiry: (couponId: number, expiry: Instant, note: Note) =>
      command<{ outcome: Outcome<"set_coupon_expiry"> }>(
        (sql) => sql`
          select outcome
          from set_coupon_expiry(
            coupon_id => ${couponId}::bigint, expiry => ${expiry}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),

    importUsers: (users: readonly { user_id: number; display_name: string }[], note: Note) =>
      command<{ outcome: "created" | "updated" | "unchanged"; user_id: number }>(
        (sql) => sql`
          select outcome, user_id
          from import_users(
            user_ids => ${arrayOf(users.map((user) => user.user_id))}::bigint[],
            display_names => ${arrayOf(users.map((user) => user.display_name))}::text[], ${noted(sql, note)})
        `,
      ),

    // The join gives the database's time also when there is no coupon.
    liveCoupons: () =>
      read<Offer>(
        (sql) => sql`
          select c.*, now.server_time
          from (select clock_timestamp() as server_time) now left join live_coupons() c on true
        `,
      ).then(listed),

    upcomingCoupons: (pageSize: number) =>
      read<Offer>(
        (sql) => sql`
          select c.*, now.server_time
          from (select clock_timestamp() as server_time) now
          left join upcoming_coupons(page_size => ${pageSize}::integer) c on true
        `,
      ).then(listed),

    findCoupon: (key: { coupon_id: number } | { code: string }) =>
      read<Offer>((sql) =>
        "code" in key
          ? sql`select * from find_coupon(code => ${key.code}::text)`
          : sql`select * from find_coupon(coupon_id => ${key.coupon_id}::bigint)`,
      ).then((rows) => rows[0]),

    wallet: (userId: number, before: string | null, pageSize: number) =>
      read<Wallet["coupons"][number]>(
        (sql) => sql`
          select *
          from wallet(
            user_id => ${userId}::bigint, before => ${before}::text::date, page_size => ${pageSize}::integer)
        `,
      ),

    listUsers: (after: number, pageSize: number) =>
      read<{ user_id: number; display_name: string }>(
        (sql) => sql`
          select user_id, display_name
          from list_users(after => ${after}::bigint, page_size => ${pageSize}::integer)
        `,
      ),

    listGrants: (couponId: number, after: number, pageSize: number) =>
      read<Grant>(
        (sql) => sql`
          select position, user_id, issued_on, issued_at, used_date, use_reference
          from list_grants(
            coupon_id => ${couponId}::bigint, after => ${after}::integer, page_size => ${pageSize}::integer)
        `,
      ),

    couponStats: (couponId: number) =>
      read<Omit<z.infer<typeof couponStats>, "coupon_id">>(
        (sql) => sql`select * from coupon_stats(coupon_id => ${couponId}::bigint)`,
      ).then((rows) => rows[0]),

    couponStatus: () =>
      read<CouponStatus & { server_time: Instant }>(
        (sql) => sql`
          select s.*, now.server_time
          from (select clock_timestamp() as server_time) now left join coupon_status() s on true
        `,
      ).then(listed),

    schemaVersion: () =>
      read<SchemaVersion>((sql) => sql`select migration, oldest_server from schema_version()`).then(only),

    /** What each pool does now, and which errors it met so far. */
    pools: { issue: issue.figures, command: command.figures, read: read.figures },

    /** Ends all connections; calls in flight get `ms` to finish. */
    close: (ms: number) => Promise.all([issue, command, read].map((pool) => pool.close(ms))),
  };
}

/**
 * A pool that runs at most `max` calls at once, one a connection: the driver alone would send several down one connection,
 * and a call behind one that waits for a lock would share its fate.
 */
function createPool(url: string, max: number, callMs: number) {
  let sql = open(url, max);
  let running = 0;
  const waiting: (() => void)[] = [];
  const errors = { unavailable: 0, busy: 0, conflict: 0, unknown: 0, argument: 0, defect: 0 };

  function failed(error: unknown): DatabaseError {
    const explained = explain(error);
    errors[explained.kind] += 1;
    return explained;
  }

  /** Runs one statement, which is one transaction. Never cancels: an unknown answer must stay one. */
  async function call<Row>(statement: (sql: postgres.Sql) => PromiseLike<readonly object[]>): Promise<Row[]> {
    if (running < max) running += 1;
    else await turn();
    const used = sql;
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          // A connection that lost its other end never reports: leave this pool to its fate.
          retire(used, 0);
          reject(new DatabaseError("unknown", "", `no answer from the database in ${callMs} ms`));
        }, callMs);
      });
      return whole((await Promise.race([statement(used), late])) as Answered<Row>);
    } catch (error) {
      const explained = failed(error);
      if (explained.kind === "unknown") retire(used, callMs);
      throw explained;
    } finally {
      clearTimeout(timer);
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  }

  /**
   * No call goes to this pool any more; those in flight get `ms` to finish. The driver's connection goes on after its socket was
   * lost with what was left behind: rows that had come are counted into the next result, and a call that was never sent takes
   * the next one's answer.
   */
  function retire(used: postgres.Sql, ms: number): void {
    if (sql === used) sql = open(url, max);
    void used.end({ timeout: ms / 1000 }).catch(() => {});
  }

  /** Waits until a call that has ended hands its place on. */
  function turn(): Promise<void> {
    const tooMany = () => failed(new DatabaseError("busy", "", "too many calls wait for the database"));
    if (waiting.length >= MAX_WAITING) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      const take = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(take), 1);
        reject(tooMany());
      }, MAX_WAIT_MS);
      waiting.push(take);
    });
  }

  call.close = (ms: number) => sql.end({ timeout: ms / 1000 });
  call.figures = {
    size: max,
    get running() {
      return running;
    },
    get waiting() {
      return waiting.length;
    },
    errors,
  };
  return call;
}

type Answered<Row> = Row[] & { command?: string | null; count?: number | null };

/** What the driver gives for a call that it forgot to send, when its connection was lost, is an empty result without a command. */
export function whole<Row>(rows: Answered<Row>): Row[] {
  if (rows.command !== "SELECT" || rows.count !== rows.length)
    throw new DatabaseError("unknown", "", `${rows.length} rows of ${rows.count} of ${rows.command}`);
  return rows;
}

/** Our own code for a connection that was accepted and closed, or reset, before a word came back: no call was sent. */
const HUNG_UP = "HUNG_UP";

/**
 * A proxy without a backend accepts and hangs up. The driver takes that for a network's passing mood and connects again at
 * once, without end: 2,000 connections in 3 s for one call. As an error of the socket it is told to the caller, and the
 * back-off works.
 *
 * And it is told of an error and of the close in one go: a call that it hands to a connection between the two is never sent.
 */
export function openSocket({
  host: [host],
  port: [port],
  path,
}: {
  host: string[];
  port: number[];
  path?: string | false;
}) {
  const socket = Object.assign(path ? connectSocket(path) : connectSocket({ host, port: Number(port) }), {
    host,
  });
  let hasSpoken = false;
  const hungUp = () => Object.assign(new Error("hung up before a word"), { code: HUNG_UP });
  const ended = () => void socket.destroy(hungUp());
  socket.once("end", ended).once("data", () => {
    hasSpoken = true;
    socket.off("end", ended);
  });
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  let error: { code?: string } | undefined;
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event === "error") {
      error = args[0] as { code?: string };
      return true;
    }
    if (event === "close" && error)
      emit("error", error.code === "ECONNRESET" && !hasSpoken ? hungUp() : error);
    return emit(event, ...args);
  };
  return socket;
}

function open(url: string, max: number): postgres.Sql {
  const hasSslMode = new URL(url).searchParams.has("sslmode");
  return postgres(url, {
    max,
    connect_timeout: 2,
    idle_timeout: 0,
    // Soon back after an outage; the driver's own back-off grows without limit.
    backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 0.5),
    onnotice: () => {},
    // The driver's query for the types of arrays runs first on each connection, and when that one is lost meanwhile its
    // rejection is nobody's: it would end the process.
    fetch_types: false,
    ...({ socket: openSocket } as object), // an option that the driver's types don't know
    ...(hasSslMode ? {} : { ssl: "prefer" as const }),
    connection: {
      application_name: `coupon-server ${process.pid}`,
      TimeZone: "UTC",
      IntervalStyle: "iso_8601",
    },
    types: {
      bigint: { to: 20, from: [20], serialize: String, parse: Number },
      numeric: { to: 1700, from: [1700], serialize: String, parse: Number },
      date: { to: 1082, from: [1082], serialize: String, parse: String },
      timestamptz: { to: 1184, from: [1184], serialize: String, parse: parseInstant },
      interval: { to: 1186, from: [1186], serialize: String, parse: parseSeconds },
    },
  });
}

/** The arguments of a function that writes to the audit. */
function noted(sql: postgres.Sql, { reason, actor }: Note) {
  return sql`reason => ${reason ?? null}::text, actor => ${actor}::text`;
}

/** An array as PostgreSQL reads it from text; the driver knows arrays only with fetch_types. */
function arrayOf(values: readonly (number | string)[]): string {
  const element = (value: number | string) =>
    typeof value === "number" ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
  return `{${values.map(element).join()}}`;
}

/** "2026-11-22 12:58:52.455223+00", as PostgreSQL writes it in UTC, to RFC 3339. */
function parseInstant(text: string): Instant {
  return text.replace(" ", "T").replace(/\+00$/, "Z");
}

/** An ISO 8601 duration of days and smaller, which is all that the difference of two instants has. */
export function parseSeconds(text: string): Seconds {
  const part = (unit: string, within: string) => Number(within.match(`(-?[0-9.]+)${unit}`)?.[1] ?? 0);
  const [days = "", time = ""] = text.split("T");
  return part("D", days) * 86_400 + part("H", time) * 3_600 + part("M", time) * 60 + part("S", time);
}

function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new DatabaseError("defect", "", "a command returned no row");
  return row;
}

function listed<Row extends { coupon_id: number; server_time: Instant }>(
  rows: readonly Row[],
): { coupons: Omit<Row, "server_time">[]; server_time: Instant } {
  const coupons = rows.filter((row) => row.coupon_id !== null).map(({ server_time: _, ...coupon }) => coupon);
  return { coupons, server_time: rows[0]?.server_time as Instant };
}

/** The driver's errors and PostgreSQL's SQLSTATEs, by what they mean for the caller. */
function explain(error: unknown): DatabaseError {
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

  switch (code) {
    // Before anything was sent: no listener, no route, no login, no room, starting up or shutting down.
    case "ECONNREFUSED":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case HUNG_UP:
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "CONNECT_TIMEOUT":
    case "CONNECTION_ENDED":
    case "53300":
    case "57P03":
    case "28000":
    case "28P01":
    case "3D000":
      return as("unavailable");
    // Rolled back by the database: waited too long for a lock, ran too long, no space, standby.
    case "55P03":
    case "57014":
    case "53100":
    case "53200":
    case "25006":
      return as("busy");
  }
  if (/^(23|40)...$/.test(code)) return as("conflict", constraint_name);
  if (/^22...$/.test(code)) return as("argument", column_name);
  // Not an answer of PostgreSQL, or its last word on a connection that it closes: the commit may have come before.
  if (!/^[0-9A-Z]{5}$/.test(code) || /^(08|57P|58|XX)/.test(code)) return as("unknown");
  return as("defect");
}
