/** Decides which reads go to the primary: those of a caller who has just changed something, and must see it. */
import type { Db } from "../database/functions.ts";
import { MAX_LAG_MS } from "../database/standby.ts";
import { type Ctx, header } from "../http/request.ts";

/**
 * A client says in `x-changed-ms` how long ago the last answer to a command of its came, ms. What was answered longer ago than a standby
 * may lag is there. So nothing has to be known here of who did what, and any server can answer.
 */
export function readsFor(c: Ctx, db: Db): Db["fresh"] {
  const ago = header(c, "x-changed-ms");
  return ago !== undefined && /^\d{1,9}$/.test(ago) && Number(ago) <= 2 * MAX_LAG_MS ? db.fresh : db;
}
