/** Who calls, as the token says; a user's subject is its user_id. A till is a service that may only use coupons. */
export type Caller =
  | { role: "user"; user_id: number; subject: string }
  | { role: "till" | "service" | "admin"; subject: string };

export type Role = Caller["role"];
