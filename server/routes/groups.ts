/** What operators do with groups. */
import type { Db } from "../database/functions.ts";
import { noteOf } from "./caller.ts";
import { readsFor } from "./freshness.ts";
import type { Operations } from "./operation.ts";

export function addGroups({ command, read, list }: Operations, { db }: { db: Db }): void {
  command("setCouponGroup", ({ who, path: { coupon_id }, body }) =>
    db.setCouponGroup(coupon_id, body.group_name, body.eligible_from, noteOf(who, body.reason)),
  );

  read("addToGroup", async ({ who, path: { group_name }, body: { user_ids, reason } }) => ({
    users: await db.addToGroup(group_name, user_ids, noteOf(who, reason)),
  }));

  read("removeFromGroup", async ({ who, path: { group_name }, body: { user_ids, reason } }) => ({
    users: await db.removeFromGroup(group_name, user_ids, noteOf(who, reason)),
  }));

  read("listGroups", ({ c, query: { after, page_size } }) =>
    readsFor(c, db).listGroups(after ?? null, page_size),
  );

  list("listGroup", ({ c, path: { group_name }, query: { after } }) => ({
    page: (from, size) => readsFor(c, db).listGroup(group_name, from, size),
    keyOf: ({ user_id }) => user_id,
    after,
  }));
}
