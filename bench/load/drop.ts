/** A drop that is fired at in volleys while something goes on beside it: refusals of a sold-out coupon, and grants of one with room. */
import type { Sql } from "../../db/connect.ts";
import { createCoupon, grantsOf } from "../harness/tables.ts";
import { issueShot, type Shot, userToken } from "../harness/tokens.ts";
import type { Verdict } from "../report/result.ts";

/** What a drop consists of: "sold out" from leases, and grants in batches. */
export type Kind = "refusals" | "grants";
export const KINDS: readonly Kind[] = ["refusals", "grants"];

/** Who takes part: the holders of the sold-out coupon, those who are refused, and from `granted` on those who are granted a coupon. */
interface Cast {
  holders: { first: number; count: number };
  refused: { first: number; count: number };
  granted: number;
  /** Requests in one volley, at most. */
  most: number;
}

/** From user `first` on, with so many who are refused. */
export function castFrom(first: number, refused: number): Cast {
  const holders = { first, count: 2_000 };
  const turnedAway = { first: first + holders.count, count: refused };
  return { holders, refused: turnedAway, granted: turnedAway.first + refused, most: refused };
}

const ROOM = 10_000_000;

export type Drop = Awaited<ReturnType<typeof openDrop>>;

/** Makes both coupons of users who are there; the first is taken by its holders. */
export async function openDrop(
  admin: Sql,
  { secret, cast, verdict }: { secret: string; cast: Cast; verdict: Verdict },
) {
  const { holders, refused } = cast;
  const coupons = {
    refusals: await createCoupon(admin, "sold-out", 0, holders.count),
    grants: await createCoupon(admin, "open", -1, ROOM),
  };
  await admin`
    select count(*) from issue_coupons(${coupons.refusals}::bigint,
      array(select n from generate_series(${holders.first}::bigint, ${refused.first - 1}::bigint) n))`;
  let granting = cast.granted;
  return {
    /** The coupon that each kind asks for. */
    coupons,
    /** Lets `fire` send so many shots, and says what it returns and how many rows there are more. */
    async volley<T>(
      { kind, where }: { kind: Kind; where: string },
      requests: number,
      fire: (shot: (index: number) => Shot) => Promise<T>,
    ): Promise<{ result: T; rows: number }> {
      const couponId = coupons[kind];
      const first = kind === "grants" ? granting : refused.first;
      if (kind === "grants") granting += requests;
      const tokens = Array.from({ length: requests }, (_, i) => userToken(secret, first + i));
      const before = await grantsOf(admin, couponId);
      const result = await fire((index) => issueShot(tokens[index] as string, couponId));
      const after = await grantsOf(admin, couponId);
      verdict.equal(`${where}: last position`, after.last, after.rows);
      verdict.equal(`${where}: coupons.issued`, after.issued, after.rows);
      return { result, rows: after.rows - before.rows };
    },
  };
}
