/** What operators do with keys. */
import type { Db } from "../database/functions.ts";
import { noteOf } from "./caller.ts";
import type { Operations } from "./operation.ts";

export function addKeys({ command, read }: Operations, { db }: { db: Db }): void {
  read("listKeys", async () => ({ keys: await db.listKeys() }));

  command("revokeKey", async ({ who, body: { key_id, reason } }) => ({
    key_id,
    ...(await db.revokeKey(key_id, noteOf(who, reason))),
  }));
}
