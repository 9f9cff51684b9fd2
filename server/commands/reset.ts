/** ./sd reset: removes the embedded database and all that ./sd keeps beside it. It asks first. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { removeEmbedded } from "../../db/embedded/embedded.ts";
import type { Env } from "../env.ts";
import { say } from "./print.ts";

export async function reset(env: Env, args: string[]): Promise<number> {
  if (env.DATABASE_URL)
    throw new Error("DATABASE_URL is set, and ./sd reset removes only the embedded database");
  if (!args.includes("--yes") && !(await isSure(env))) {
    say("nothing was removed");
    return 1;
  }
  await removeEmbedded({ dataDir: join(env.DATA_DIR, "scratch") });
  await rm(join(env.DATA_DIR, "token.secret"), { force: true });
  await removeEmbedded({ dataDir: env.DATA_DIR });
  say(`removed the database in ${env.DATA_DIR}`);
  return 0;
}

async function isSure(env: Env): Promise<boolean> {
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  // The end of the input is no yes.
  const closed = new Promise<string>((resolve) => void ask.once("close", () => resolve("")));
  const asked = ask.question(`remove the database and all that ./sd keeps in ${env.DATA_DIR}? Type yes: `);
  const answer = await Promise.race([asked, closed]).finally(() => ask.close());
  return answer.trim() === "yes";
}
