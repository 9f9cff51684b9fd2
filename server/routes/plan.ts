/** What operators do with the plan. */
import type { Db } from "../database/functions.ts";
import { noteOf } from "./caller.ts";
import type { Operations } from "./operation.ts";

export function addPlan({ command, read }: Operations, { db }: { db: Db }): void {
  read("listPlan", async () => ({ entries: await db.listPlan() }));

  command("setPlanEntry", async ({ who, body: { reason, ...entry } }) => ({
    weekday: entry.weekday,
    slot: entry.slot,
    ...(await db.setPlanEntry(entry, noteOf(who, reason))),
  }));

  command("removePlanEntry", async ({ who, body: { weekday, slot, reason } }) => ({
    weekday,
    slot,
    ...(await db.removePlanEntry(weekday, slot, noteOf(who, reason))),
  }));

  read("previewDays", async ({ query: { first_day = null, last_day = null } }) => ({
    coupons: await db.previewDays(first_day, last_day),
  }));

  read("fillDays", async ({ who, body: { last_day = null, reason } }) => ({
    coupons: await db.fillDays(last_day, noteOf(who, reason)),
  }));

  read("copyDay", async ({ who, body: { from_day, to_day, reason } }) => ({
    coupons: await db.copyDay(from_day, to_day, noteOf(who, reason)),
  }));
}
