/** ./sd keys: lists the keys that were signed with a name, and revokes one. No token is stored, so none is shown. */
import type { Env } from "../env.ts";
import { asAdmin } from "./database.ts";
import { printTable, say, shown } from "./print.ts";

/** A token that was signed. */
export interface Key {
  id: string;
  name: string;
  scope: string | null;
  /** Seconds since 1970. */
  expires: number;
}

export async function keys(env: Env, [what, id, reason, ...more]: string[]): Promise<number> {
  if (what === undefined) return list(env);
  if (what !== "revoke" || id === undefined || more.length > 0)
    throw new Error('usage: ./sd keys | ./sd keys revoke ID ["a reason, for the audit"]');
  return asAdmin(env, async (sql) => {
    const [row] = await sql`
      select outcome, name from revoke_key(key_id => ${id}, reason => ${reason ?? null}::text)`;
    const whose = shown(row?.["name"] ?? "nobody that is recorded: look whether the id is right");
    say(
      row?.["outcome"] === "revoked"
        ? `revoked: the key of ${whose}`
        : `was revoked before: the key of ${whose}`,
    );
    // An id that nobody recorded may be mistyped, and the key that was meant is good.
    return row?.["name"] === null ? 1 : 0;
  });
}

/** Notes a key that was just signed, in the database of the environment. */
export function recordKey(env: Env, { id, name, scope, expires }: Key): Promise<void> {
  return asAdmin(env, async (sql) => {
    await sql`
      select from record_key(
        key_id => ${id}, name => ${name}, scope => ${scope}::text, expires_at => to_timestamp(${expires}::float8))`;
  });
}

function list(env: Env): Promise<number> {
  return asAdmin(env, async (sql) => {
    const rows = await sql`
      select id, name, coalesce(scope, '(its role)'), date_trunc('second', created_at)::text,
        date_trunc('second', expires_at)::text, date_trunc('second', revoked_at)::text
      from list_keys()`.values();
    const names = ["id", "name", "scope", "created", "expires", "revoked"];
    printTable(
      names,
      [...rows].map((row) => row.map((value) => (value === null ? null : Buffer.from(String(value))))),
    );
    return 0;
  });
}
