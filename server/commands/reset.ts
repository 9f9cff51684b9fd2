/** ./sd reset: removes the embedded database, a cluster, and all that ./sd keeps beside it. It asks first. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { removeEmbedded } from "../../db/embedded/embedded.ts";
import { removeCluster } from "../cluster/cluster.ts";
import type { Env } from "../env.ts";
import { confirmed } from "./confirmed.ts";
import { say } from "./print.ts";

export async function reset(env: Env, args: string[]): Promise<number> {
  if (env.DATABASE_URL)
    throw new Error("DATABASE_URL is set, and ./sd reset removes only the embedded database");
  const question = `remove the database and all that ./sd keeps in ${env.DATA_DIR}?`;
  if (!args.includes("--yes") && !(await confirmed(question))) {
    say("nothing was removed");
    return 1;
  }
  await removeCluster({ dataDir: env.DATA_DIR });
  await removeEmbedded({ dataDir: join(env.DATA_DIR, "scratch") });
  await rm(join(env.DATA_DIR, "token.secret"), { force: true });
  await removeEmbedded({ dataDir: env.DATA_DIR });
  say(`removed the database in ${env.DATA_DIR}`);
  return 0;
}
