/** ./sd doctor: compares the database with what this release makes, and ends with status 1 when something differs. */
import { examine } from "../../db/doctor.ts";
import { CONNECTIONS } from "../database/pools.ts";
import type { Env } from "../env.ts";
import { withExisting } from "./database.ts";
import { counted, say } from "./print.ts";

export function doctor(env: Env): Promise<number> {
  return withExisting(env, async (target) => {
    const found = await examine(target, { connections: CONNECTIONS * env.WORKERS });
    for (const { what, todo } of found) say(`${what} → ${pasteable(todo)}`);
    say(found.length === 0 ? "nothing differs" : counted(found.length, "thing differs", "things differ"));
    return found.length === 0 ? 0 : 1;
  });
}

/** A statement ends as psql wants it. */
const pasteable = (todo: string) =>
  /^(alter|comment|create|drop|grant|reindex|revoke)\b/i.test(todo) && !todo.endsWith("./sd migrate")
    ? `${todo};`
    : todo;
