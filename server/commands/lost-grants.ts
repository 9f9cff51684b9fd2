/**
 * ./sd lost-grants FILE…: after a restore to an earlier time, which grants were acknowledged that the database does not have. It reads
 * what was kept outside: the logs of the servers, answers, and events. Ends with status 1 when grants are gone.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import { type Sql, withConnection } from "../../db/connect.ts";
import { instant } from "../database/columns.ts";
import type { Env } from "../env.ts";
import { withDatabase } from "./database.ts";
import { say } from "./print.ts";

const USAGE = "usage: ./sd lost-grants FILE… (logs of servers, answers, events; - is what comes by stdin)";

/** Grants that the database is asked for at once. */
const AT_ONCE = 10_000;

const grant = z.object({
  coupon_id: z.int().positive(),
  user_id: z.int().positive(),
  position: z.int().positive(),
  issued_at: z.iso.datetime({ offset: true }),
});
const event = z.object({ type: z.literal("coupon.issued"), time: z.string(), data: z.object({}).loose() });
const page = z.object({ events: z.array(z.unknown()) });
const missing = z.object({ message: z.literal("not logged"), why: z.string(), count: z.int() });

type Grant = z.infer<typeof grant>;

/** What files say. A grant is told once, however often it was acknowledged. */
interface Told {
  grants: Map<string, Grant>;
  /** Lines that a server had no room for, by its own count. */
  missing: number;
  /** Lines that begin like JSON and are none. */
  broken: number;
}

export async function lostGrants(env: Env, files: string[]): Promise<number> {
  if (files.length === 0 || files.some((file) => /^-./.test(file))) throw new Error(USAGE);
  const told: Told = { grants: new Map(), missing: 0, broken: 0 };
  for (const file of files) await read(file, told);
  if (told.missing > 0)
    say(`the logs lack ${told.missing} lines, for which stdout had no room: grants may be among them`);
  if (told.broken > 0) say(`${told.broken} lines are cut off or broken: grants may be among them`);
  // "None is lost" would be said of a file that knows nothing.
  if (told.grants.size === 0)
    throw new Error("these files acknowledge no grant: logs have them at LOG_LEVEL info and debug only");
  return withDatabase(env, (target) =>
    withConnection(target, (sql) => compare(sql, [...told.grants.values()]), { role: "coupon_admin" }),
  );
}

/** Lines of a log may have the name of their container in front, and those of a stream of events have "data:". */
async function read(file: string, told: Told): Promise<void> {
  const input = file === "-" ? process.stdin : createReadStream(file);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const begin = line.indexOf("{");
    if (begin >= 0) take(line.slice(begin), told);
  }
}

function take(text: string, told: Told): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    told.broken += 1;
    return;
  }
  const lacking = missing.safeParse(value);
  if (lacking.success) told.missing += lacking.data.count;
  const pageOf = page.safeParse(value);
  for (const each of pageOf.success ? pageOf.data.events : [value]) {
    const found = grantOf(each);
    if (found) told.grants.set(`${found.coupon_id} ${found.user_id} ${found.issued_at}`, found);
  }
}

/** Of an event, an answer or a line of a log. */
function grantOf(value: unknown): Grant | undefined {
  const issued = event.safeParse(value);
  return grant.safeParse(issued.success ? { ...issued.data.data, issued_at: issued.data.time } : value).data;
}

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
    `${grants.length} acknowledged grants: ${there} are there, ${gone} are gone, ${again} were issued again` +
      (retired > 0 ? `, ${retired} are of retired coupons` : ""),
  );
  return gone === 0 ? 0 : 1;
}
