/** The part of the contract that is about groups, whose members may have a coupon before everybody else. */
import { z } from "zod";
import { changed } from "./answers.ts";
import { ADMIN } from "./changes.ts";
import { listedUser } from "./line-answers.ts";
import * as requests from "./requests.ts";
import { instant, plainName, reason, userId, warning } from "./values.ts";

const groupName = plainName.meta({
  description: "A group is there as long as it has members. vip and VIP are two.",
  examples: ["regulars"],
});
const groupPath = z.strictObject({ group_name: groupName });

const couponGroup = z
  .strictObject({
    group_name: groupName.nullable(),
    eligible_from: instant
      .nullable()
      .meta({ description: "Before start_time; null with group_name.", examples: ["2026-11-22T09:50:00Z"] }),
    reason: reason.optional(),
  })
  .refine(({ group_name, eligible_from }) => (group_name === null) === (eligible_from === null), {
    path: ["eligible_from"],
    error: "must be null where group_name is, and only there",
  });

const members = z.strictObject({
  user_ids: z
    .array(userId, "must be an array")
    .min(1, "must not be empty")
    .max(10_000, "must have at most 10000 users")
    .refine((ids) => new Set(ids).size === ids.length, "must not repeat a user_id"),
  reason: reason.optional(),
});
const became = <const Outcomes extends readonly [string, ...string[]]>(outcomes: Outcomes) =>
  z.strictObject({ users: z.array(z.strictObject({ outcome: z.enum(outcomes), user_id: userId })) });

/** Bytes of 10,000 ids. */
const MAX_MEMBERS_BODY = 256 * 1024;

export const grouping = {
  setCouponGroup: {
    route: "POST /coupons/{coupon_id}/group",
    tag: "Operating",
    summary: "Let a group have a coupon before everybody else",
    description: "Until it has started, for the group or for everybody. null takes the group away.",
    roles: ADMIN,
    path: requests.couponPath,
    body: couponGroup,
    command: "set_coupon_group",
    answer: changed.extend({ warning: warning.nullable() }),
  },
  addToGroup: {
    route: "POST /groups/{group_name}/add",
    tag: "Users",
    summary: "Put users into a group",
    description: "At most 10,000 users, all or nothing. Sending the same users again changes nothing.",
    roles: ADMIN,
    path: groupPath,
    body: members,
    maxBody: MAX_MEMBERS_BODY,
    answer: became(["user_not_found", "already_member", "added"]),
  },
  removeFromGroup: {
    route: "POST /groups/{group_name}/remove",
    tag: "Users",
    summary: "Take users out of a group",
    description: "What they were issued as members stays theirs.",
    roles: ADMIN,
    path: groupPath,
    body: members,
    maxBody: MAX_MEMBERS_BODY,
    answer: became(["not_member", "removed"]),
  },
  listGroups: {
    route: "GET /groups",
    tag: "Users",
    summary: "Groups by name, a page at a time",
    description:
      "Those that have members, and those that a coupon names: one without members may be misspelt.",
    roles: ADMIN,
    query: z.strictObject({
      after: groupName.optional().meta({ description: "next_after of the previous page." }),
      page_size: requests.pageSize(requests.COUPONS_OF_PAGE),
    }),
    answer: z.strictObject({
      groups: z.array(
        z.strictObject({
          group_name: groupName,
          member_count: z
            .int()
            .min(0)
            .meta({ examples: [3] }),
          coupon_count: z
            .int()
            .min(0)
            .meta({ description: "Coupons that name it.", examples: [1] }),
        }),
      ),
      next_after: groupName
        .nullable()
        .meta({ description: "after= of the next page; null: this is the last one." }),
    }),
  },
  listGroup: {
    route: "GET /groups/{group_name}",
    tag: "Users",
    summary: "The members of a group, as a stream of lines or as CSV",
    description: `One user per line, by id. The last line says done, or what went wrong and after which id to continue. ${requests.AS_CSV}`,
    roles: ADMIN,
    path: groupPath,
    query: requests.afterUserQuery,
    answer: listedUser,
    stream: "application/x-ndjson",
    columns: ["user_id", "display_name"],
  },
} as const;
