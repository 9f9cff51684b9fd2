/** Calls of the functions about keys. */
import type { AnswerOf } from "../api/contract-types.ts";
import type { Outcome } from "../api/outcomes.ts";
import { instant, list } from "./columns.ts";
import { type Note, noted } from "./commands.ts";
import type { Call, Pool } from "./pool.ts";
import { only } from "./rows.ts";

const KEY = list(
  "id as key_id, name, scope",
  instant("created_at"),
  instant("expires_at"),
  instant("revoked_at"),
);

export function keyed(operate: Pool, report: Call, offer: Pool) {
  return {
    listKeys: () =>
      report<AnswerOf<"listKeys">["keys"][number]>(
        (sql) => sql`select ${sql.unsafe(KEY)} from public.list_keys()`,
      ),

    revokeKey: (keyId: string, note: Note) =>
      operate<{ outcome: Outcome<"revoke_key">; name: string | null }>(
        (sql) => sql`
          select outcome, name from public.revoke_key(key_id => ${keyId}::text, ${noted(sql, note)})
        `,
      ).then(only),

    /** What each server asks several times a minute: it waits behind no report. */
    revokedKeys: () =>
      offer<{ key_id: string }>((sql) => sql`select key_id from public.revoked_keys()`).then((rows) =>
        rows.map(({ key_id }) => key_id),
      ),
  };
}
