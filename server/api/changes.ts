/** The part of the contract that is for operators: what they change of a coupon, and take back of a use. */
import * as answers from "./answers.ts";
import * as requests from "./requests.ts";

export const ADMIN = ["admin"] as const;
/** A till may do nothing else. */
export const TILLS = ["till", "service", "admin"] as const;

/** Bytes of a coupon's texts and metadata, each character escaped (12 bytes: `\ud83d\ude00`), as many JSON writers do. */
export const MAX_COUPON_BODY = 128 * 1024;

export const changes = {
  undoUse: {
    route: "POST /coupons/{coupon_id}/undo-use",
    tag: "Operating",
    summary: "Undo a use",
    description: "The answer says which use was undone. A service can only undo its own.",
    roles: ["service", "admin"],
    path: requests.couponPath,
    body: requests.undoUse,
    command: "undo_use",
    answer: answers.used,
  },
  undoClaim: {
    route: "POST /claims/undo-use",
    tag: "Operating",
    summary: "Undo the use of a claim code's coupon",
    description: "The answer says which use was undone. A till and a service can only undo their own.",
    roles: TILLS,
    scope: "use",
    body: requests.undoClaim,
    command: "undo_claim",
    answer: answers.claimed,
    problems: { rate_limited: 429 },
  },
  pauseCoupon: {
    route: "POST /coupons/{coupon_id}/pause",
    tag: "Operating",
    summary: "Pause a coupon",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.why,
    command: "pause_coupon",
    answer: answers.changed,
  },
  resumeCoupon: {
    route: "POST /coupons/{coupon_id}/resume",
    tag: "Operating",
    summary: "Resume a paused coupon",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.why,
    command: "resume_coupon",
    answer: answers.changed,
  },
  setCouponCount: {
    route: "POST /coupons/{coupon_id}/count",
    tag: "Operating",
    summary: "Change the number of units",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.newCount,
    command: "set_coupon_count",
    answer: answers.stock,
  },
  setCouponExpiry: {
    route: "POST /coupons/{coupon_id}/expiry",
    tag: "Operating",
    summary: "Change when a coupon expires",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.newExpiry,
    command: "set_coupon_expiry",
    answer: answers.expiring,
  },
  setCouponStart: {
    route: "POST /coupons/{coupon_id}/start",
    tag: "Operating",
    summary: "Change when a coupon starts",
    description: "Until it has started. On another day it takes one of the three places of that day.",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.newStart,
    command: "set_coupon_start",
    answer: answers.moved,
  },
  editCoupon: {
    route: "POST /coupons/{coupon_id}/edit",
    tag: "Operating",
    summary: "Change a coupon's code, texts and metadata",
    description:
      "What is left out stays; metadata is replaced as a whole. The code can change until the coupon has started.",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.edit,
    maxBody: MAX_COUPON_BODY,
    command: "edit_coupon",
    answer: answers.edited,
  },
  withdrawCoupon: {
    route: "POST /coupons/{coupon_id}/withdraw",
    tag: "Operating",
    summary: "Withdraw a coupon of which nothing was issued",
    description:
      "It is gone then, and its code, its start time, its count and its place of the day are free.",
    roles: ADMIN,
    path: requests.couponPath,
    body: requests.why,
    command: "withdraw_coupon",
    answer: answers.withdrawn,
  },
  retireCoupons: {
    route: "POST /coupons/retire",
    tag: "Operating",
    summary: "Take out coupons that have been over for a month, with their grants",
    description:
      "A step a request: send it again while the outcome is going_on. Save the grants before (GET /coupons/{coupon_id}/grants): sums are all " +
      "that stays, in stats and in the daily summary.",
    roles: ADMIN,
    body: requests.retirement,
    command: "retire_coupons",
    answer: answers.retired,
  },
} as const;
