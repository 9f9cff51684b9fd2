/**
 * Calls of all functions as the roles that may, and may not: several sessions at once, or a whole transaction of them. Each is answered by
 * rows, or refused as the caller's mistake, by the name of the argument.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import postgres from "postgres";
import { scratchDatabase } from "../harness/scratch.ts";
import { anyCall, type Call, pasteable, statementOf } from "./calls.ts";
import { functionsOf, ROLES, type Role } from "./functions.ts";
import { MAX_MS } from "./judge.ts";
import { checkedRun, type Tally, type Task } from "./run.ts";
import { hostileText } from "./values.ts";
import { assertRules, furnish } from "./world.ts";

const BURST = 24;
const SESSIONS = 3;

/** What a session of a DBA's may have set. */
const SETTINGS = [
  "timezone = 'America/St_Johns'",
  "timezone = 'Pacific/Kiritimati'",
  "datestyle = 'German, DMY'",
  "datestyle = 'SQL, MDY'",
  "intervalstyle = 'sql_standard'",
  "search_path = ''",
  "search_path = pg_temp, public",
  "extra_float_digits = 0",
  "bytea_output = 'escape'",
  "plan_cache_mode = force_generic_plan",
  "enable_indexscan = off",
  "constraint_exclusion = off",
  "synchronous_commit = off",
  "default_transaction_deferrable = on",
] as const;

interface Work {
  role: Role;
  calls: Call[];
  /** One transaction for all of them, like this; undefined: one each, on several sessions at once. */
  transaction: { begin: string; settings: string[]; incoming: [string | null, string | null][] } | undefined;
}

/** Some calls on a database of their own, made of this seed. */
export async function fuzzSql(task: Task): Promise<void> {
  const scratch = await scratchDatabase();
  const sessions = { coupon_api: open(scratch.apiUrl), coupon_admin: open(scratch.adminUrl) };
  try {
    await furnish({ scratch });
    await task.plant?.(scratch);
    // The driver's reserve() (postgres 3.4.9, porsager/postgres#751) never returns where it is the first on a connection, without
    // fetch_types.
    for (const role of ROLES) await sessions[role]`select`;
    const call = anyCall(await functionsOf(scratch.owner));
    const cell = fc.option(hostileText.map((text) => text.replaceAll("\0", "").toWellFormed()));
    const id = fc.oneof(fc.integer({ min: 1, max: 70 }).map(String), cell);
    const work: fc.Arbitrary<Work> = fc.record({
      role: fc.constantFrom(...ROLES),
      calls: fc.array(call, { minLength: 1, maxLength: BURST, size: "max" }),
      transaction: fc.option(
        fc.record({
          begin: fc.constantFrom(
            "read committed",
            "read committed",
            "repeatable read",
            "serializable",
            "read committed, read only",
          ),
          settings: fc.subarray([...SETTINGS], { maxLength: 2 }),
          incoming: fc.array(fc.tuple(id, cell), { maxLength: 5 }),
        }),
        { nil: undefined, freq: 3 },
      ),
    });
    await checkedRun("sql", task, {
      values: work,
      async attempt(each) {
        // Some of them twice: who repeats a call is answered as well.
        const calls = each.calls.flatMap((call, i) => (i % 8 === 7 ? [call, call] : [call]));
        await done(sessions[each.role], { ...each, calls }, task.tally);
        return calls.length;
      },
      atEnd: () => assertRules({ scratch }),
      shown,
    });
  } finally {
    await Promise.all(ROLES.map((role) => sessions[role].end({ timeout: 1 })));
    await scratch.drop();
  }
}

function open(url: string): postgres.Sql {
  return postgres(url, {
    max: SESSIONS,
    onnotice: () => {},
    fetch_types: false,
    max_lifetime: null,
    // A connection that is ended while it is reserved ends the driver's process (postgres 3.4.9, porsager/postgres#1208); and this one may
    // be held up.
    connection: { application_name: "fuzz", idle_in_transaction_session_timeout: 600_000 },
  });
}

const shown = ({ role, calls, transaction }: Work) =>
  [
    `-- as ${role}`,
    ...(transaction
      ? [
          `begin isolation level ${transaction.begin};`,
          ...transaction.settings.map((each) => `set local ${each};`),
          ...(transaction.incoming.length > 0
            ? [`-- incoming_users: ${JSON.stringify(transaction.incoming)}`]
            : []),
        ]
      : []),
    ...calls.map(pasteable),
  ].join("\n");

async function done(sql: postgres.Sql, { role, calls, transaction }: Work, tally: Tally): Promise<void> {
  if (!transaction) {
    const ended = await Promise.allSettled(
      calls.map((call) => made(sql, call, role, "read committed", tally)),
    );
    for (const each of ended) if (each.status === "rejected") throw each.reason;
    return;
  }
  const { begin, settings, incoming } = transaction;
  const session = await sql.reserve();
  try {
    await session.unsafe(`begin isolation level ${begin}`);
    for (const setting of settings) await session.unsafe(`set local ${setting}`);
    if (
      role === "coupon_admin" &&
      !begin.includes("read only") &&
      calls.some(({ fn }) => fn.name === "import_incoming_users")
    )
      for (const [user_id, name] of incoming)
        await session`insert into coupon.incoming_users (user_id, display_name) values (${user_id}, ${name})`;
    for (const call of calls) {
      await session.unsafe("savepoint before");
      const isRefused = await made(session, call, role, begin, tally);
      if (isRefused) await session.unsafe("rollback to before");
    }
    await session.unsafe("commit");
  } catch (error) {
    await session.unsafe("rollback").catch(() => {});
    // At its end a transaction of its own snapshot may be told to be made again; all others hold.
    if ((error as { code?: string }).code !== "40001" || !/repeatable|serializable/.test(begin)) throw error;
  } finally {
    session.release();
  }
}

/** Makes one call and judges what comes of it; whether it was refused by an error. */
async function made(
  sql: postgres.Sql,
  call: Call,
  role: Role,
  begin: string,
  tally: Tally,
): Promise<boolean> {
  const { fn } = call;
  const { text, parameters } = statementOf(call);
  const began = performance.now();
  try {
    const rows = await sql.unsafe(text, parameters, { prepare: true });
    const ms = performance.now() - began;
    assert.ok(ms < MAX_MS, `${fn.name}: took ${ms.toFixed()} ms`);
    const takesMany =
      fn.args.some(({ type }) => type.endsWith("[]")) ||
      (fn.args.length === 2 && fn.name.startsWith("import"));
    if (fn.hasOutcome && !takesMany) assert.equal(rows.length, 1, `${fn.name}: a command answers one row`);
    if (fn.hasOutcome)
      for (const row of rows) assert.ok(row["outcome"], `${fn.name}: a row without an outcome`);
    tally.count(
      fn.name,
      "rows",
      fn.hasOutcome && rows[0] ? `${fn.name} ${rows[0]["outcome"]}` : undefined,
      undefined,
      ms,
    );
    return false;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    const { code, message, column_name } = error as { code?: string; message: string; column_name?: string };
    const why = refusalOf(call, role, begin, code ?? "", column_name);
    if (why === undefined)
      throw new Error(`${fn.name}: ${code} ${message}${column_name ? ` (${column_name})` : ""}`, {
        cause: error,
      });
    tally.count(fn.name, code as string, undefined, why, performance.now() - began);
    return true;
  }
}

/** Why this error is right; undefined: it is not. */
function refusalOf(
  { fn, args, given }: Call,
  role: Role,
  begin: string,
  code: string,
  argument: string | undefined,
): string | undefined {
  const used = args.slice(0, given);
  const isUnreadable = used.some(({ isReadable }) => !isReadable);
  if (code === "42501" && !fn.roles.includes(role)) return "no right";
  // Of bytes that are no value the type speaks, before the function is called: in its own codes, among them "too deep".
  if (isUnreadable && /^(22...|54001|42704)$/.test(code)) return "no value of its type";
  if ((code === "22004" || code === "22023") && fn.args.some(({ name }) => name === argument))
    return "argument refused by its name";
  if (code === "55000" && fn.name === "import_incoming_users") return "nothing was copied";
  if (code === "25006" && begin.includes("read only")) return "read only";
  if (code === "40001" && /repeatable|serializable/.test(begin)) return "to be made again";
  if (code === "25000" && fn.name === "forget_user" && /repeatable|serializable/.test(begin))
    return "needs read committed";
  return undefined;
}
