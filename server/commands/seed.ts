/** Something to try: demo users, and three coupons for today and for tomorrow. */
import type { Sql } from "../../db/connect.ts";
import type { Env } from "../env.ts";
import { withProgress } from "./progress.ts";

const USERS = 100_000;
const BATCH = 10_000;

/** Whether set-up makes the demo: where SEED says so, and else only in the embedded database. */
export function isSeeding({ SEED, DATABASE_URL, API_DATABASE_URL }: Env): boolean {
  return SEED === undefined ? !DATABASE_URL && !API_DATABASE_URL : SEED === "demo";
}

/**
 * Fills an empty database, and goes on doing so in one that it filled; never touches one with users or coupons of its own.
 * Returns what it made, and whether this is the demo's database.
 */
export async function seed(
  admin: Sql,
  log: (line: string) => void = () => {},
): Promise<{ isDemo: boolean; users: number; coupons: number }> {
  const [state] = await admin`
    select
      exists (select from coupon.users) or exists (select from coupon.coupons) as is_used,
      exists (select from coupon.users u where u.id = 1 and u.display_name = 'Demo user 1') as is_demo,
      (select max(u.id)::integer from coupon.users u where u.id <= ${USERS}) as last_user
  `;
  if (state?.["is_used"] && !state["is_demo"]) return { isDemo: false, users: 0, coupons: 0 };

  const last: number = state?.["last_user"] ?? 0;
  const users = last < USERS ? await addUsers(admin, last + 1, log) : 0;

  const coupons = await admin`
    select c.outcome
    from coupon.settings s
    cross join generate_series(0, 1) d (days)
    cross join (values ('BREAKFAST', 'A free coffee', 0, 25), ('LUNCH', 'Half price on any lunch', 12, 100),
      ('DINNER', 'Dinner for two at the price of one', 18, 1000)) o (name, message, hour, count)
    cross join lateral (
      select date_trunc('day', clock_timestamp() at time zone s.time_zone) + make_interval(days => d.days) as day
    ) t
    cross join lateral create_coupon(
      code => o.name || to_char(t.day, '-YYYYMMDD'),
      message => o.message,
      description => format('%s units, first come, first served, from %s:00 (%s).', o.count, o.hour, s.time_zone),
      start_time => (t.day + make_interval(hours => o.hour)) at time zone s.time_zone,
      expiry => (t.day + interval '2 days') at time zone s.time_zone,
      count => o.count,
      metadata => '{"demo": true}'
    ) c
    where c.outcome = 'created'
  `;
  return { isDemo: true, users, coupons: coupons.length };
}

/** The demo's users from `next` on; answers how many were made. */
function addUsers(admin: Sql, next: number, log: (line: string) => void): Promise<number> {
  return withProgress("users", log, async (report) => {
    let users = 0;
    for (let first = next; first <= USERS; first += BATCH) {
      const last = Math.min(first + BATCH - 1, USERS);
      const made = await admin`
        select count(*) filter (where i.outcome = 'created')::integer as created
        from import_users(
          user_ids => array(select n from generate_series(${first}::bigint, ${last}::bigint) n),
          display_names => array(select 'Demo user ' || n from generate_series(${first}::bigint, ${last}::bigint) n)
        ) i
      `;
      users += made[0]?.["created"];
      report(last, USERS);
    }
    return users;
  });
}
