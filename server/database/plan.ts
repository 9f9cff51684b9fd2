/** Calls of the functions of the plan. */
import type { z } from "zod";
import { stringifyExact } from "../api/exact.ts";
import type { Outcome } from "../api/outcomes.ts";
import type { planning } from "../api/plan.ts";
import { day, instant, list } from "./columns.ts";
import { type Note, noted, type Warning } from "./commands.ts";
import type { Pool } from "./pool.ts";
import { only } from "./rows.ts";

type PlanEntry = Omit<z.infer<typeof planning.setPlanEntry.body>, "reason">;
type Listed = z.infer<typeof planning.listPlan.answer>["entries"][number];
/** A coupon that a day is to have, and what became of it. */
export type PlannedCoupon = z.infer<typeof planning.fillDays.answer>["coupons"][number];

/** What is selected, in forms that no setting of a session changes. */
const ENTRY =
  "weekday, slot, code_pattern, message, description, local_start::text, local_expiry::text, expiry_days, count, metadata";
const PLANNED = list(
  "outcome",
  day("day"),
  "slot, code, message, description",
  instant("start_time"),
  instant("expiry"),
  "count, metadata, coupon_id, taken_by, warning",
);

export function planned(operate: Pool) {
  return {
    listPlan: () => operate<Listed>((sql) => sql`select ${sql.unsafe(ENTRY)} from public.list_plan()`),

    setPlanEntry: (entry: PlanEntry, note: Note) =>
      operate<{ outcome: Outcome<"set_plan_entry">; taken_by_slot: number | null; warning: Warning }>(
        (sql) => sql`
          select outcome, taken_by_slot, warning
          from public.set_plan_entry(
            weekday => ${entry.weekday}::integer, slot => ${entry.slot}::integer,
            code_pattern => ${entry.code_pattern}::text, message => ${entry.message}::text,
            description => ${entry.description}::text, local_start => ${entry.local_start}::text::time,
            local_expiry => ${entry.local_expiry}::text::time, count => ${entry.count}::integer,
            expiry_days => ${entry.expiry_days}::integer, metadata => ${entry.metadata === undefined ? null : stringifyExact(entry.metadata)}::text::jsonb,
            ${noted(sql, note)})
        `,
      ).then(only),

    removePlanEntry: (weekday: number, slot: number, note: Note) =>
      operate<{ outcome: Outcome<"remove_plan_entry"> }>(
        (sql) => sql`
          select outcome
          from public.remove_plan_entry(weekday => ${weekday}::integer, slot => ${slot}::integer, ${noted(sql, note)})
        `,
      ).then(only),

    previewDays: (firstDay: string | null, lastDay: string | null) =>
      operate<PlannedCoupon>(
        (sql) => sql`
          select ${sql.unsafe(PLANNED)}
          from public.preview_days(first_day => ${firstDay}::text::date, last_day => ${lastDay}::text::date)
        `,
      ),

    fillDays: (lastDay: string | null, note: Note) =>
      operate<PlannedCoupon>(
        (sql) => sql`
          select ${sql.unsafe(PLANNED)}
          from public.fill_days(last_day => ${lastDay}::text::date, ${noted(sql, note)})
        `,
      ),

    copyDay: (fromDay: string, toDay: string, note: Note) =>
      operate<PlannedCoupon>(
        (sql) => sql`
          select ${sql.unsafe(PLANNED)}
          from public.copy_day(from_day => ${fromDay}::text::date, to_day => ${toDay}::text::date, ${noted(sql, note)})
        `,
      ),
  };
}
