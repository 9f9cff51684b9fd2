/** ./sd api-url: the URL of coupon_api with its password, for servers that only serve. */
import { withConnection } from "../../db/connect.ts";
import type { Env } from "../env.ts";
import { withSetUp } from "./database.ts";
import { say } from "./print.ts";

export function apiUrl(env: Env): Promise<number> {
  return withSetUp(env, async (target) => {
    const api = target.as("coupon_api");
    // A URL that does not work is not printed.
    await withConnection(api, (sql) => sql`select 1`);
    say(api.url);
    return 0;
  });
}
