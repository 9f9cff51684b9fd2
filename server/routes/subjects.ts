/** Who somebody is: by their own token, and by the subject that an identity provider knows them by. */
import type { Db } from "../database/functions.ts";
import type { Operations } from "./operation.ts";

export function addSubjects({ read }: Operations, { db }: { db: Db }): void {
  read("me", ({ who }) => ({ role: who.role, user_id: who.role === "user" ? who.user_id : null }));

  read("findSubjects", async ({ query }) => ({ subjects: await db.findSubjects(query) }));
}
