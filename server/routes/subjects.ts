/** What operators ask about subjects of identity providers. */
import type { Db } from "../database/functions.ts";
import type { Operations } from "./operation.ts";

export function addSubjects({ read }: Operations, { db }: { db: Db }): void {
  read("findSubjects", async ({ query }) => ({ subjects: await db.findSubjects(query) }));
}
