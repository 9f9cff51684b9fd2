/** A database for a run: users and coupons in it, and what it holds at the end. */
import { withConnection } from "../../db/connect.ts";
import { instant, list } from "../../server/database/columns.ts";
import { createThings } from "../harness/coupons.ts";
import type { Scratch } from "../harness/scratch.ts";
import { createRandom } from "../harness/stats.ts";
import { addUsers } from "../harness/tables.ts";
import { EARLY_GROUP, type FinalState } from "./history.ts";

export interface Stock {
  users: number;
  /** Small coupons, which drop one after the other. */
  coupons: { coupon: number; count: number }[];
  /** A coupon that is never sold out. The users after `users` ask for it to find out whether grants and uses work again. */
  probe: { coupon: number; count: number; firstUser: number };
  /** The users from here on ask for coupons that are being corrected: lives.ts. */
  firstOfLives: number;
  /** The last of them are in EARLY_GROUP. */
  members: { first: number; last: number };
}

const PROBES = 2_000;
/** Users who ask for coupons that are being corrected, for each user of the load: the slowest fault takes two minutes and 30,000 of them. */
const OF_LIVES = 3;

/** Users, and small coupons of 10 to 30 units, each of a day of its own in the past, since a day has room for three. */
export async function fillStock(
  { admin }: Pick<Scratch, "admin">,
  seed: number,
  users: number,
  coupons: number,
): Promise<Stock> {
  await addUsers({ admin }, 1, users + PROBES + OF_LIVES * users);
  const members = {
    first: users + PROBES + (OF_LIVES - 1) * users + 1,
    last: users + PROBES + OF_LIVES * users,
  };
  await admin`
    select from add_to_group(
      ${EARLY_GROUP}, array(select generate_series(${members.first}::bigint, ${members.last}::bigint)))`;
  const random = createRandom(seed);
  const counts = Array.from({ length: coupons }, () => 10 + Math.floor(random() * 21));
  const { newCoupon } = createThings(admin);
  const made: Stock["coupons"] = [];
  for (const count of counts) made.push({ coupon: await newCoupon({ count, until: "3 days" }), count });
  const probe = await newCoupon({ count: PROBES, until: "3 days" });
  return {
    users,
    coupons: made,
    probe: { coupon: probe, count: PROBES, firstUser: users + 1 },
    firstOfLives: users + PROBES + 1,
    members,
  };
}

/** Everything that a history is held against, read as coupon_owner. */
export function readState(setupUrl: string): Promise<FinalState> {
  return withConnection(
    setupUrl,
    async (sql) => {
      const coupons = await sql`
        select
          id::integer as coupon, count, issued, coupon.asked_for(c)::integer as asked, ${sql.unsafe(instant("sold_out_at"))},
          message, extract(epoch from start_time)::float8 * 1000 as start,
          extract(epoch from eligible_from)::float8 * 1000 as from
        from coupon.coupons c`;
      const grants = await sql`
        select
          coupon_id::integer as coupon, user_id::integer as user, position, issued_on::text as issued_on,
          ${sql.unsafe(list(instant("issued_at"), instant("used_date")))}, use_reference
        from coupon.user_coupons`;
      const uses = await sql`
        select coupon_id::integer as coupon, user_id::integer as user, new_values ->> 'use_reference' as reference
        from coupon.audit
        where command = 'use_coupon'`;
      const broken =
        await sql`select format('%s, coupon %s, user %s: %s', r.invariant, r.coupon_id, r.user_id, r.detail) as line
        from public.reconcile() r`;
      return {
        coupons: [...coupons] as unknown as FinalState["coupons"],
        grants: [...grants] as unknown as FinalState["grants"],
        uses: [...uses] as unknown as FinalState["uses"],
        broken: broken.map((row) => row["line"] as string),
      };
    },
    { role: "coupon_owner" },
  );
}
