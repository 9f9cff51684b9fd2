/** Bugs that somebody might have made, each made here on purpose, with the constraints away that would keep the rule without it. */
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../db/connect.ts";
import { instant } from "../../server/database/columns.ts";
import type { Issue } from "../../server/database/commands.ts";
import { createRandom } from "../harness/stats.ts";
import { BOUNDS } from "./checker/bounds.ts";
import type { Invariant } from "./checker/check.ts";
import { CHANCES, NEVER } from "./flaky.ts";
import { bugsOfLives } from "./planted-lives.ts";
import { type Bug, changed, inServer, inSql, KEEPERS, LOCK, ROW_LOCK, replaced, SPENT } from "./planting.ts";
import { trial } from "./trial.ts";

/** Of a trial, unless the bug needs others. */
const REQUESTS = 1_000;

export const bugs: readonly Bug[] = [
  {
    name: "no lock",
    about: "issuing is not locked, and no constraint holds the count",
    breaks: ["counts_agree", "reconcile_is_empty"],
    plant: inSql(
      KEEPERS.count,
      replaced("sql/internal/lock_issuing.sql", [LOCK, "  perform pg_sleep(0.01);\n"], [ROW_LOCK, ";\n"]),
    ),
  },
  {
    name: "unit too many",
    about: "a coupon is sold out one unit too late, and no constraint holds the count",
    breaks: ["within_count", "reconcile_is_empty"],
    plant: inSql(
      KEEPERS.count,
      replaced("sql/internal/common_refusal.sql", [".issued >= (", ".issued > ("]),
      replaced("sql/issue_coupons.sql", [
        "v_left := v_coupon.count - v_coupon.issued;",
        "v_left := v_coupon.count - v_coupon.issued + 1;",
      ]),
    ),
  },
  {
    name: "session lock",
    about: "the lock is the session's and given back before the commit, and no constraint holds the count",
    breaks: ["counts_agree", "reconcile_is_empty"],
    plant: inSql(
      KEEPERS.count,
      // Their errors would leave the lock with the session.
      KEEPERS.day,
      KEEPERS.holder,
      replaced(
        "sql/internal/lock_issuing.sql",
        [LOCK, "  perform pg_advisory_lock(4711);\n"],
        [ROW_LOCK, ";\n"],
      ),
      replaced("sql/issue_coupons.sql", [
        "  -- 6. Answer",
        "  if v_locked then perform pg_advisory_unlock(4711); end if;\n  -- 6. Answer",
      ]),
      // A commit that takes as long as one on a slow disk.
      `create function coupon.commit_slowly() returns trigger language plpgsql as
          'begin perform pg_sleep(0.003); return null; end';
        create constraint trigger commits_slowly after update on coupon.coupons
          deferrable initially deferred for each row execute function coupon.commit_slowly();`,
    ),
  },
  {
    name: "no unique key",
    about: "the daily limit was left to a unique key, which is not there",
    breaks: ["one_a_day", "reconcile_is_empty"],
    plant: inSql(KEEPERS.day, replaced("sql/issue_coupons.sql", ...SPENT)),
  },
  {
    name: "second unit",
    about: "who asks again isn't looked up, so that a retry takes a second unit",
    breaks: ["one_grant_a_request", "grant_is_kept", "one_a_day", "reconcile_is_empty"],
    plant: inSql(
      KEEPERS.day,
      KEEPERS.holder,
      replaced(
        "sql/issue_coupons.sql",
        ...SPENT,
        [
          `        and (select g.user_id from coupon.user_coupons g
          where g.coupon_id = issue_coupons.coupon_id and g.user_id = r.user_id) is null)`,
          ")",
        ],
        [
          `      and (select g.user_id from coupon.user_coupons g
        where g.coupon_id = issue_coupons.coupon_id and g.user_id = r.user_id) is null;`,
          ";",
        ],
      ),
    ),
  },
  {
    name: "reply before commit",
    about: "a batch is answered when its rows are there, and committed afterwards; some commits fail",
    breaks: ["grant_is_kept"],
    async plant({ apiUrl }) {
      const sql = connect(apiUrl, { max: 8 });
      const random = createRandom(1);
      return {
        db: (db) => ({
          ...db,
          async issueCoupons(couponId, userIds) {
            const session = await sql.reserve();
            await session`begin`;
            const issues = await session`
              select
                outcome, user_id::integer, position, issued_on::text,
                ${session.unsafe(instant("issued_at"))},
                null as starts_in, null as sold_out_at, null as time_to_sell_out
              from issue_coupons(${couponId}::bigint, ${`{${userIds.join()}}`}::text::bigint[])`;
            void sleep(1)
              .then(() => (random() < 0.2 ? session`rollback` : session`commit`))
              .finally(() => session.release());
            return [...issues] as unknown as Issue[];
          },
        }),
        end: () => sql.end({ timeout: 1 }),
      };
    },
  },
  {
    name: "lease without holders",
    about: "a lease doesn't say who holds the coupon, so that they are refused too",
    breaks: ["holder_is_not_refused"],
    plant: inSql(
      replaced("sql/coupon_leases.sql", [
        `array(
      select g.user_id
      from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position) > coupon.position_key(m.coupon_id, l.after)
        and coupon.position_key(g.coupon_id, g.position) <= coupon.position_key(m.coupon_id, l.issued))`,
        "'{}'::bigint[]",
      ]),
    ),
  },
  {
    name: "restock within a lease",
    about: "a change doesn't wait for the leases that are out",
    breaks: ["refusal_is_true"],
    restocks: true,
    plant: inSql(
      replaced("sql/internal/outlive_leases.sql", [
        "    update coupon.leases l set is_leased = false where l.coupon_id = outlive_leases.coupon_id;\n",
        "",
      ]),
    ),
  },
  {
    name: "counted twice",
    about: "what a server tells again, since the answer was lost, is counted again",
    breaks: ["asked_is_counted"],
    // A server tells once a second, and a request whose answer was lost may count or not: so no other fault is made, and for some seconds.
    chances: { ...NEVER, twice: 1 },
    requests: 3_000,
    plant: inSql(replaced("sql/count_demand.sql", ["\n  where s.last_number < excluded.last_number", ""])),
  },
  {
    name: "sold out at another time",
    about: "sold_out_at is read from the clock a second time, after the grants",
    breaks: ["sold_out_is_dated"],
    plant: inSql(
      replaced("sql/issue_coupons.sql", [
        "v_coupon.sold_out_at := v_now;",
        "v_coupon.sold_out_at := clock_timestamp();",
      ]),
    ),
  },
  ...bugsOfLives,
  {
    name: "dropped tail",
    about: "a batch that is sent again in halves forgets the second one",
    breaks: ["answered_in_time"],
    chances: { ...CHANCES, conflict: 0.3 },
    bounds: { ...BOUNDS, answerMs: 1_500 },
    async plant() {
      const { module, end } = await inServer<typeof import("../../server/issuing/issuing.ts")>("issuing.ts", {
        "issuing.ts": changed("server/issuing/issuing.ts"),
        "lane.ts": changed("server/issuing/lane.ts", [
          `        (await sendBatch(key, inTime(batch.slice(0, half))))();
        return sendBatch(key, inTime(batch.slice(half)));`,
          "        return sendBatch(key, inTime(batch.slice(0, half)));",
        ]),
      });
      return { createIssuing: module.createIssuing, end };
    },
  },
  {
    name: "tail refused",
    about: "a batch that fails is told sold_out from its second half on, which nobody has found out",
    breaks: ["refusal_is_true"],
    async plant() {
      return {
        db: (db) => ({
          ...db,
          async issueCoupons(couponId, userIds) {
            const head = userIds.slice(0, Math.ceil(userIds.length / 2));
            const issues = await db.issueCoupons(couponId, head);
            const tail = userIds.slice(head.length).map(
              (user_id): Issue => ({
                outcome: "sold_out",
                user_id,
                position: null,
                issued_on: null,
                issued_at: null,
                starts_in: null,
                sold_out_at: null,
                time_to_sell_out: null,
              }),
            );
            return [...issues, ...tail];
          },
        }),
      };
    },
  },
  {
    name: "unknown told as undone",
    about: "a call that was lost after it was sent is told as if nothing had been done",
    breaks: ["undone_stays_undone"],
    chances: { ...CHANCES, unheard: 0.2 },
    async plant() {
      const { module, end } = await inServer<typeof import("../../server/issuing/issuing.ts")>("issuing.ts", {
        "issuing.ts": changed("server/issuing/issuing.ts"),
        "lane.ts": changed("server/issuing/lane.ts", [
          "        for (const waiting of batch) waiting.reject(error);",
          '        for (const waiting of batch) waiting.reject(new DatabaseError("unavailable", "", "gone"));',
        ]),
      });
      return { createIssuing: module.createIssuing, end };
    },
  },
];

/** The promises that are found broken in a trial with this bug: without restocks and lives, unless it needs them to show. */
export async function foundWith(bug: Bug, seed: number): Promise<ReadonlySet<Invariant>> {
  const { verdict } = await trial({ restocks: false, lives: 0, requests: REQUESTS, ...bug, seed });
  return new Set(verdict.violations.map(({ invariant }) => invariant));
}
