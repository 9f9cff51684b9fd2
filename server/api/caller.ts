/** Who calls, as the token says; a user's subject is its user_id. */
export type Caller =
  | { role: "user"; user_id: number; subject: string }
  | { role: "service" | "admin"; subject: string };

export type Role = Caller["role"];
