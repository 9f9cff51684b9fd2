/** Of the planted bugs those that show in the lives of coupons that are corrected: lives.ts. */
import { createRandom } from "../harness/stats.ts";
import { type Bug, inSql, replaced } from "./planting.ts";

export const bugsOfLives: readonly Bug[] = [
  {
    name: "move within a lease",
    about: "a move of the start doesn't wait for the leases of not_started",
    breaks: ["refusal_is_true"],
    lives: 24,
    plant: inSql(
      replaced("sql/internal/outlive_leases.sql", [
        "coupon.common_refusal(c, clock_timestamp()) is not null)",
        "coupon.common_refusal(c, clock_timestamp()) not in ('not_started'))",
      ]),
    ),
  },
  {
    name: "early for everybody",
    about: "who is in the group of a coupon is not asked, and no guard keeps the others from it",
    breaks: ["not_before_its_time"],
    lives: 3,
    plant: inSql(
      "drop trigger user_coupons_check_new_grants on coupon.user_coupons;",
      replaced("sql/issue_coupons.sql", [
        "m.group_name = v_coupon.eligible_group and m.user_id = r.user_id)\n",
        "m.user_id = r.user_id\n          union select r.user_id)\n",
      ]),
    ),
  },
  {
    name: "withdrawn and granted",
    about: "a withdrawal looks for grants before it has the lock, and no guard keeps what was issued",
    breaks: ["withdrawn_is_gone", "reconcile_is_empty"],
    lives: 12,
    plant: inSql(
      "drop trigger coupons_are_permanent_once_issued on coupon.coupons;",
      replaced("sql/withdraw_coupon.sql", [
        "  v_coupon := coupon.lock_issuing(withdraw_coupon.coupon_id);\n",
        `  select c.* into v_coupon from coupon.coupons c where c.id = withdraw_coupon.coupon_id;
  perform pg_sleep(0.03);
  perform coupon.lock_issuing(withdraw_coupon.coupon_id);
`,
      ]),
    ),
  },
  {
    name: "id given again",
    about: "the id of a new coupon is the highest one and one more",
    breaks: ["id_is_new"],
    lives: 9,
    plant: inSql(
      `create function coupon.number_again() returns trigger language plpgsql as
          'begin new.id := (select max(c.id) + 1 from coupon.coupons c); return new; end';
        create trigger a_number before insert on coupon.coupons
          for each row execute function coupon.number_again();`,
    ),
  },
  {
    name: "code kept",
    about: "the code of a coupon that was withdrawn stays taken",
    breaks: ["operator_is_not_refused"],
    lives: 12,
    plant: inSql(
      replaced("sql/create_coupon.sql", [
        "  if outcome is not null then\n",
        `  if outcome is null and exists (
    select from coupon.audit a where a.command = 'withdraw_coupon' and a.old_values ->> 'code' = create_coupon.code)
  then
    outcome := 'code_taken';
  end if;
  if outcome is not null then
`,
      ]),
    ),
  },
  {
    name: "correction not kept",
    about: "a correction is answered before it is done, and some are never done",
    breaks: ["correction_is_kept"],
    lives: 9,
    plant: async () => ({
      db: (db) => {
        const random = createRandom(1);
        return {
          ...db,
          editCoupon: async (...given) =>
            random() < 0.5 ? { outcome: "changed", taken_by: null } : db.editCoupon(...given),
        };
      },
    }),
  },
  {
    name: "slips of two tills",
    about: "a till is told the use of another one that has numbered its slip alike",
    breaks: ["used_once"],
    requests: 100,
    lives: 3,
    plant: inSql(
      replaced("sql/use_claim.sql", [
        "if v_told.outcome = 'used' and use_claim.actor is not null and not exists (",
        "if v_told.outcome = 'used' and use_claim.actor is null and not exists (",
      ]),
    ),
  },
  {
    name: "reference kept",
    about: "the audit keeps the references of who is forgotten",
    breaks: ["forgotten_is_gone", "reconcile_is_empty"],
    requests: 100,
    lives: 4,
    plant: inSql(
      replaced("sql/forget_user.sql", [
        "new_values = case when a.new_values ? 'use_reference' then a.new_values || v_gone else a.new_values end",
        "new_values = a.new_values",
      ]),
    ),
  },
  {
    name: "planned again",
    about: "a day whose coupon was withdrawn is filled again, once its plan has changed",
    breaks: ["plan_is_kept"],
    requests: 100,
    lives: 5,
    plant: inSql(
      replaced("sql/internal/planned_on.sql", [
        "(select from coupon.planned m where",
        "(select from coupon.planned m join coupon.coupons c on c.id = m.coupon_id where",
      ]),
    ),
  },
  {
    name: "sum replaced",
    about:
      "a step that retires grants forgets those of that day that were moved out before, and no guard keeps the sums",
    breaks: ["retired_is_kept", "reconcile_is_empty"],
    requests: 100,
    lives: 6,
    plant: inSql(
      `drop trigger retired_coupons_are_gone on coupon.retired_coupons;
        drop trigger retired_grants_stay on coupon.retired_grants;`,
      replaced("sql/retire_coupons.sql", [
        "set issued = s.issued + excluded.issued,",
        "set issued = excluded.issued,",
      ]),
    ),
  },
];
