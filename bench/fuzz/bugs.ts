/** Bugs made on purpose in functions, which the fuzzer must find. */
import { changed } from "../faults/planting.ts";
import { fuzzHttp } from "./http.ts";
import type { Task } from "./run.ts";
import { fuzzSql } from "./sql.ts";

export interface Bug {
  name: string;
  fuzz: (task: Task) => Promise<void>;
  plant: NonNullable<Task["plant"]>;
  /** How the finding begins, or what it tells. */
  found: RegExp;
  /** For one that shows only when all inputs are used up. Default: until it is found. */
  inputs?: number;
}

/** A function's text with parts replaced. */
export const planted =
  (file: string, ...changes: [from: string, to: string][]): NonNullable<Task["plant"]> =>
  async ({ owner }) => {
    await owner.unsafe(await changed(file, ...changes));
  };

export const bugs: readonly Bug[] = [
  {
    name: "a function without its bound lets the constraint answer",
    fuzz: fuzzSql,
    plant: planted("sql/internal/check_reason_and_actor.sql", [
      "length(check_reason_and_actor.reason) not between 1 and 500",
      "false",
    ]),
    found: /^\w+: 23514 /,
  },
  {
    name: "a function that computes beyond its type",
    fuzz: fuzzSql,
    plant: planted("sql/find_coupon.sql", ["begin\n", "begin\n  perform find_coupon.coupon_id + 1;\n"]),
    found: /^find_coupon: 22003 /,
  },
  {
    name: "a rule broken",
    fuzz: fuzzSql,
    plant: async (scratch) => {
      await scratch.owner`drop trigger audit_tells_what_is on coupon.audit`;
      await planted("sql/use_coupon.sql", [
        "values ('use_coupon', use_coupon.coupon_id, use_coupon.user_id, use_coupon.used_date,",
        "values ('use_coupon', use_coupon.coupon_id, use_coupon.user_id, use_coupon.used_date - interval '1 second',",
      ])(scratch);
    },
    found: /^when all was done: [\s\S]*audited_use_is_there/,
    inputs: 2_000,
  },
  {
    name: "a failure of the database behind a route",
    fuzz: fuzzHttp,
    plant: planted("sql/set_coupon_count.sql", [
      "when set_coupon_count.count < v_coupon.issued then 'below_issued'",
      "when false then 'below_issued'",
    ]),
    found: /POST .*\/count 500: a failure of ours/,
  },
  {
    name: "a constraint's name in a sentence",
    fuzz: fuzzHttp,
    plant: planted("sql/internal/refuse_argument.sql", [
      "%', argument, why",
      "% (coupons_count_check)', argument, why",
    ]),
    found: /tells of our insides: .*coupons_count_check/,
  },
];
