/** ./sd reset: removes the embedded database, a cluster, and all that ./sd keeps beside it. It asks first. */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { embeddedUsers, removeEmbedded } from "../../db/embedded/embedded.ts";
import { hasCluster, removeCluster } from "../cluster/cluster.ts";
import type { Env } from "../env.ts";
import { confirmed } from "./confirmed.ts";
import { say } from "./print.ts";
import { usedBy } from "./stop.ts";

export async function reset(env: Env, args: string[]): Promise<number> {
  if (args.some((arg) => arg !== "--yes")) throw new Error("usage: ./sd reset [--yes]");
  if (env.DATABASE_URL)
    throw new Error("DATABASE_URL is set, and ./sd reset removes only the embedded database");
  const users = await usersOf(env);
  const what = hasCluster({ dataDir: env.DATA_DIR }) ? "the database, the cluster" : "the database";
  const question = `remove ${what} and all that ./sd keeps in ${env.DATA_DIR}${usedBy(users, "use")}?`;
  if (!args.includes("--yes") && !(await confirmed(question))) {
    say("nothing was removed");
    return 1;
  }
  await removeCluster({ dataDir: env.DATA_DIR });
  await removeEmbedded({ dataDir: join(env.DATA_DIR, "scratch") });
  const names = existsSync(env.DATA_DIR) ? await readdir(env.DATA_DIR) : [];
  for (const name of names)
    if (OURS.test(name)) await rm(join(env.DATA_DIR, name), { recursive: true, force: true });
  await removeEmbedded({ dataDir: env.DATA_DIR });
  say(`removed ${what} and all that ./sd kept in ${env.DATA_DIR}${usedBy(users)}`);
  return 0;
}

/**
 * The token secret, also under the name that it was first written by; and the other versions of PostgreSQL that tests and
 * ./sd bench versions have installed.
 */
const OURS = /^(token\.secret(\.[0-9a-f]{12})?|npm-postgres-[\w.-]+)$/;

/** Also of the server that the tests share. */
async function usersOf({ DATA_DIR: dataDir }: Env): Promise<string[]> {
  const users = await Promise.all(
    [dataDir, join(dataDir, "scratch")].map((at) => embeddedUsers({ dataDir: at })),
  );
  return [...new Set(users.flat())];
}
