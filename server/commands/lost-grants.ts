/**
 * ./sd lost-grants FILE…: after a restore to an earlier time, which grants were acknowledged that the database does not have. It reads
 * what was kept outside: the logs of the servers, answers, and events. Ends with status 1 when grants are gone, and with 2 when none is but
 * the files may have more than could be read of them.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { Sql } from "../../db/connect.ts";
import { instant } from "../database/columns.ts";
import type { Env } from "../env.ts";
import { callersFile } from "./called.ts";
import { asAdmin } from "./database.ts";
import { counted, say } from "./print.ts";

const USAGE = "usage: ./sd lost-grants FILE… (logs of servers, answers, events; - is what comes by stdin)";

/** Grants that the database is asked for at once. */
const AT_ONCE = 10_000;

const grant = z.object({
  coupon_id: z.int().positive(),
  user_id: z.int().positive(),
  position: z.int().positive(),
  issued_at: z.iso.datetime({ offset: true }),
});
/** A grant by its fields, whether they can be read or not. */
const like = z.object({ position: z.number(), issued_at: z.string() });
const event = z.object({ type: z.literal("coupon.issued"), time: z.string(), data: z.object({}).loose() });
const page = z.object({ events: z.array(z.unknown()) });
const missing = z.object({ message: z.literal("not logged"), why: z.string(), count: z.int() });

/** Lines as Docker's json-file and journald's export keep them. */
const wrapped = z.union([
  z.object({ log: z.unknown() }).transform(({ log }) => log),
  z.object({ MESSAGE: z.unknown() }).transform(({ MESSAGE }) => MESSAGE),
]);

/** What only a piece of JSON has, or bytes that are no text. Words are none: ./sd start says some before the server's log begins. */
const PIECE = /[{}\0\ufffd]|":/;
/** How a file of gzip begins, read as UTF-8. */
const GZIP = "\u001f\ufffd";

type Grant = z.infer<typeof grant>;

/** What files say. A grant is told once, however often it was acknowledged. */
interface Told {
  grants: Map<string, Grant>;
  /** Lines that a server had no room for, by its own count. */
  missing: number;
  /** Lines that have a piece of JSON that cannot be read, or a grant that cannot be. */
  broken: number;
  /** How often a grant was acknowledged, in all. */
  acknowledged: number;
}

export async function lostGrants(env: Env, files: string[]): Promise<number> {
  if (files.length === 0 || files.some((file) => /^-./.test(file))) throw new Error(USAGE);
  const told: Told = { grants: new Map(), missing: 0, broken: 0, acknowledged: 0 };
  const silent: string[] = [];
  let unread = 0;
  for (const file of files) {
    const before = told.acknowledged;
    try {
      await read(file, told);
    } catch (error) {
      const { syscall, code } = error as { syscall?: string; code?: string };
      if (syscall === undefined) throw error;
      // Status 1 would say that grants are gone.
      say(`cannot read ${file} (${code}): grants may be in it`);
      unread += 1;
      continue;
    }
    if (told.acknowledged === before) silent.push(file);
  }
  if (told.missing > 0)
    say(
      `the logs lack ${counted(told.missing, "line")}, for which stdout had no room: grants may be among them`,
    );
  if (told.broken > 0)
    say(`${counted(told.broken, "line is", "lines are")} cut off or broken: grants may be among them`);
  // "None is lost" would be said of a file that knows nothing.
  if (told.grants.size === 0) {
    if (silent.length > 0)
      say("these files acknowledge no grant: logs have them at LOG_LEVEL info and debug only");
    return 2;
  }
  for (const file of silent)
    say(`${file} acknowledges no grant: logs have them at LOG_LEVEL info and debug only`);
  const gone = await asAdmin(env, (sql) => compare(sql, [...told.grants.values()]));
  if (gone > 0) return 1;
  return told.missing + told.broken + silent.length + unread > 0 ? 2 : 0;
}

async function read(file: string, told: Told): Promise<void> {
  const input = file === "-" ? process.stdin : createReadStream(callersFile(file));
  let isFirst = true;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (isFirst && line.startsWith(GZIP))
      throw new Error(`${file} is compressed: zcat FILE | ./sd lost-grants -`);
    isFirst = false;
    takeLine(line, told);
  }
}

/** Lines of a log may have the name of their container in front, and those of a stream of events have "data:". */
function takeLine(line: string, told: Told): void {
  const begin = line.indexOf("{");
  let value: unknown;
  try {
    value = begin < 0 ? undefined : JSON.parse(line.slice(begin));
  } catch {}
  if (value !== undefined) take(value, told);
  else if (PIECE.test(line)) told.broken += 1;
}

function take(value: unknown, told: Told): void {
  const inner = wrapped.safeParse(value);
  if (inner.success) {
    // journald leaves out what is long (null), and has bytes where they are no text.
    if (typeof inner.data === "string") takeLine(inner.data, told);
    else told.broken += 1;
    return;
  }
  const lacking = missing.safeParse(value);
  if (lacking.success) told.missing += lacking.data.count;
  const pageOf = page.safeParse(value);
  for (const each of pageOf.success ? pageOf.data.events : [value]) {
    const { found, isMeant } = grantOf(each);
    if (found) {
      told.acknowledged += 1;
      told.grants.set(`${found.coupon_id} ${found.user_id} ${found.issued_at}`, found);
    } else if (isMeant) told.broken += 1;
  }
}

/** Of an event, an answer or a line of a log; and whether it was meant to be one. */
function grantOf(value: unknown): { found?: Grant | undefined; isMeant: boolean } {
  const issued = event.safeParse(value);
  const said = issued.success ? { ...issued.data.data, issued_at: issued.data.time } : value;
  return { found: grant.safeParse(said).data, isMeant: issued.success || like.safeParse(said).success };
}

/** Names what is gone or was issued again, and answers how many are gone. */
async function compare(sql: Sql, grants: readonly Grant[]): Promise<number> {
  const found = { there: 0, gone: 0, again: 0, retired: 0 };
  for (let first = 0; first < grants.length; first += AT_ONCE) {
    const some = grants.slice(first, first + AT_ONCE);
    const rows = await sql`
      select
        case
          when g.issued_at = a.issued_at then 'there'
          when g.user_id is not null then 'again'
          when r.coupon_id is not null then 'retired'
          else 'gone' end as what,
        g.position, ${sql.unsafe(instant("g.issued_at"))}
      from unnest(
        ${some.map(({ coupon_id }) => coupon_id)}::bigint[], ${some.map(({ user_id }) => user_id)}::bigint[],
        ${some.map(({ issued_at }) => issued_at)}::text[]::timestamptz[])
        with ordinality a (coupon_id, user_id, issued_at, number)
      left join coupon.user_coupons g on g.coupon_id = a.coupon_id and g.user_id = a.user_id
      left join coupon.retired_coupons r on r.coupon_id = a.coupon_id
      order by a.number`;
    for (const [i, { what, position, issued_at }] of rows.entries()) {
      found[what as keyof typeof found] += 1;
      const { coupon_id, user_id, ...was } = some[i] as Grant;
      const name = `coupon ${coupon_id}, user ${user_id}, position ${was.position}, ${was.issued_at}`;
      if (what === "gone") say(`${name}: gone`);
      if (what === "again") say(`${name}: issued again at position ${position}, ${issued_at}`);
    }
  }
  const { there, gone, again, retired } = found;
  say(
    `${counted(grants.length, "acknowledged grant")}: ${counted(there, "is", "are")} there, ` +
      `${counted(gone, "is", "are")} gone, ${counted(again, "was", "were")} issued again` +
      (retired > 0 ? `, ${counted(retired, "is", "are")} of retired coupons` : ""),
  );
  return gone;
}
