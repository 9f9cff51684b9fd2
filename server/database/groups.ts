/** Calls of the functions about groups. */
import type { AnswerOf } from "../api/contract-types.ts";
import type { Outcome } from "../api/outcomes.ts";
import { type Note, noted, type Warning } from "./commands.ts";
import type { Call, Pool } from "./pool.ts";
import { arrayOf, type Instant, lastOf, only } from "./rows.ts";

type Added = AnswerOf<"addToGroup">["users"][number];
type Listed = AnswerOf<"listGroups">["groups"][number];
type Removed = AnswerOf<"removeFromGroup">["users"][number];

export function grouped(operate: Pool) {
  return {
    setCouponGroup: (couponId: number, groupName: string | null, eligibleFrom: Instant | null, note: Note) =>
      operate<{ outcome: Outcome<"set_coupon_group">; warning: Warning }>(
        (sql) => sql`
          select outcome, warning
          from public.set_coupon_group(
            coupon_id => ${couponId}::bigint, group_name => ${groupName}::text,
            eligible_from => ${eligibleFrom}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),

    addToGroup: (groupName: string, userIds: readonly number[], note: Note) =>
      operate<Added>(
        (sql) => sql`
          select outcome, user_id
          from public.add_to_group(
            group_name => ${groupName}::text, user_ids => ${arrayOf(userIds)}::bigint[], ${noted(sql, note)})
        `,
      ),

    removeFromGroup: (groupName: string, userIds: readonly number[], note: Note) =>
      operate<Removed>(
        (sql) => sql`
          select outcome, user_id
          from public.remove_from_group(
            group_name => ${groupName}::text, user_ids => ${arrayOf(userIds)}::bigint[], ${noted(sql, note)})
        `,
      ),
  };
}

/** Lists of groups and of their members. */
export function groupLists(report: Call) {
  return {
    listGroups: (after: string | null, pageSize: number) =>
      report<Listed>(
        (sql) => sql`
          select group_name, member_count, coupon_count
          from public.list_groups(after => ${after}::text, page_size => ${pageSize}::integer)
        `,
      ).then((groups) => ({ groups, next_after: lastOf(groups, pageSize)?.group_name ?? null })),

    listGroup: (groupName: string, after: number, pageSize: number) =>
      report<{ user_id: number; display_name: string }>(
        (sql) => sql`
          select user_id, display_name
          from public.list_group(
            group_name => ${groupName}::text, after => ${after}::bigint, page_size => ${pageSize}::integer)
        `,
      ),
  };
}
