/** A database for a run: users and coupons in it, and what it holds at the end. */
import { type Sql, withConnection } from "../../db/connect.ts";
import { instant, list } from "../../server/database/columns.ts";
import { createThings, makeCoupon, plantGrants } from "../harness/coupons.ts";
import type { Scratch } from "../harness/scratch.ts";
import { createRandom } from "../harness/stats.ts";
import { addUsers } from "../harness/tables.ts";
import { EARLY_GROUP, type FinalState, type History, newHistory } from "./history.ts";

export interface Stock {
  users: number;
  /** Small coupons, which drop one after the other. */
  coupons: { coupon: number; count: number }[];
  /**
   * A coupon that is never sold out. The users after `users` ask for it to find out whether grants and uses work again; and those of lives.ts who
   * go to a till with it.
   */
  probe: { coupon: number; count: number; firstUser: number };
  /** The users from here on ask for coupons that are being corrected: lives.ts. */
  firstOfLives: number;
  /** The last of them are in EARLY_GROUP. */
  members: { first: number; last: number };
  /** Coupons of long ago, and how many grants each has. */
  old: Map<number, number>;
}

const PROBES = 2_000;
/**
 * Users who ask for coupons that are being corrected, for each user of the load: the slowest fault takes two minutes and 30,000 of them. A small
 * run on a busy machine takes hundreds.
 */
const OF_LIVES = 3;
const LEAST_OF_LIVES = 6_000;
const OLD = { coupons: 8, grants: 25, code: "OLD-" };

/**
 * Users, and small coupons of 10 to 30 units, each of a day of its own in the past, since a day has room for three. Coupons of long ago only
 * where there is an owner, who alone can make their grants.
 */
export async function fillStock(
  { admin, owner }: Pick<Scratch, "admin"> & Partial<Pick<Scratch, "owner">>,
  seed: number,
  users: number,
  coupons: number,
): Promise<Stock> {
  const ofLives = Math.max(OF_LIVES * users, LEAST_OF_LIVES);
  const last = users + PROBES + ofLives;
  await addUsers({ admin }, 1, last);
  const members = { first: last - Math.floor(ofLives / 3) + 1, last };
  await admin`
    select from add_to_group(
      ${EARLY_GROUP}, array(select generate_series(${members.first}::bigint, ${members.last}::bigint)))`;
  const random = createRandom(seed);
  const counts = Array.from({ length: coupons }, () => 10 + Math.floor(random() * 21));
  const { newCoupon } = createThings(admin);
  const made: Stock["coupons"] = [];
  for (const count of counts) made.push({ coupon: await newCoupon({ count, until: "3 days" }), count });
  const count = PROBES + ofLives;
  const probe = await newCoupon({ count, until: "3 days" });
  return {
    users,
    coupons: made,
    probe: { coupon: probe, count, firstUser: users + 1 },
    firstOfLives: users + PROBES + 1,
    members,
    old: owner ? await plantOld(admin, owner) : new Map(),
  };
}

/** Of a run that begins with this, and with other coupons. */
export function historyOf(
  seed: number,
  stock: Stock,
  ...others: readonly { coupon: number; count: number }[]
): History {
  const coupons = [...stock.coupons, stock.probe, ...others];
  const counts = new Map(coupons.map(({ coupon, count }) => [coupon, count]));
  return { ...newHistory(seed, counts), members: stock.members, old: stock.old };
}

async function plantOld(admin: Sql, owner: Sql): Promise<Stock["old"]> {
  const old: Stock["old"] = new Map();
  const holders = Array.from({ length: OLD.grants }, (_, i) => i + 1);
  for (let i = 1; i <= OLD.coupons; i++) {
    const id = await makeCoupon(admin, { code: `${OLD.code}${i}`, count: 40, from: `-${100 + i} days` });
    await plantGrants(owner, id, holders, `local - interval '${50 + i} days'`);
    await owner`update coupon.coupons set expiry = clock_timestamp() - interval '45 days' where id = ${id}`;
    old.set(id, OLD.grants);
  }
  return old;
}

/** Everything that a history is held against, read as coupon_owner. The coupons of long ago are not among the others. */
export function readState(setupUrl: string, history: History): Promise<FinalState> {
  return withConnection(
    setupUrl,
    async (sql) => {
      const coupons = await sql`
        select
          id::integer as coupon, count, issued, coupon.asked_for(c)::integer as asked, ${sql.unsafe(instant("sold_out_at"))},
          message, extract(epoch from start_time)::float8 * 1000 as start,
          extract(epoch from eligible_from)::float8 * 1000 as from
        from coupon.coupons c
        where code not like ${`${OLD.code}%`}`;
      const grants = await sql`
        select
          coupon_id::integer as coupon, user_id::integer as user, position, issued_on::text as issued_on,
          ${sql.unsafe(list(instant("issued_at"), instant("used_date")))}, use_reference
        from coupon.user_coupons
        where coupon_id <> all (${[...history.old.keys()]}::bigint[])`;
      const uses = await sql`
        select
          coupon_id::integer as coupon, user_id::integer as user,
          coalesce(new_values, old_values) ->> 'use_reference' as reference,
          ${sql.unsafe(instant("used_date"))}, command = 'undo_use' as "isUndo"
        from coupon.audit
        where command in ('use_coupon', 'undo_use')
        order by id`;
      const old = await sql`
        select
          o.id::integer as coupon, o.is_retired as "isRetired",
          (select count(*)::integer from coupon.user_coupons g where g.coupon_id = o.id) as grants,
          (select coalesce(sum(s.issued), 0)::integer from coupon.retired_grants s where s.coupon_id = o.id) as moved
        from (
          select id, code, false from coupon.coupons
          union all
          select coupon_id, code, true from coupon.retired_coupons
        ) o (id, code, is_retired)
        where o.code like ${`${OLD.code}%`}`;
      const broken =
        await sql`select format('%s, coupon %s, user %s: %s', r.invariant, r.coupon_id, r.user_id, r.detail) as line
        from public.reconcile() r`;
      return {
        coupons: [...coupons] as unknown as FinalState["coupons"],
        grants: [...grants] as unknown as FinalState["grants"],
        uses: [...uses] as unknown as FinalState["uses"],
        traces: await tracesOf(sql, history),
        old: [...old] as unknown as FinalState["old"],
        broken: broken.map((row) => row["line"] as string),
      };
    },
    { role: "coupon_owner" },
  );
}

/** Looks at every column of every table for the names of users, and for what tills write about them: client.ts, errands.ts. */
async function tracesOf(sql: Sql, { attempts }: History): Promise<FinalState["traces"]> {
  const forgotten = [...new Set(attempts.flatMap(({ ask }) => (ask.kind === "forget" ? [ask.user] : [])))];
  const tables = await sql`
    select format('select %L as place, t::text as words from coupon.%I t', relname, relname) as rows
    from pg_class
    where relnamespace = 'coupon'::regnamespace and relkind = 'r'`;
  const traces = await sql`
    select distinct w.place, m.id[1]::integer as user
    from (${sql.unsafe(tables.map(({ rows }) => rows as string).join(" union all "))}) w
    cross join regexp_matches(w.words, '\\m(?:User|slip) ([0-9]{1,9})\\M', 'g') m (id)
    where m.id[1]::integer = any (${forgotten}::integer[])`;
  return [...traces] as unknown as FinalState["traces"];
}
