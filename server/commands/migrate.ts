/** ./sd migrate: set-up without the demo and without serving, which a release needs before its servers start. */
import { describe, isNothing, pendingOf } from "../../db/pending.ts";
import { whyOnlyServe } from "../../db/release.ts";
import type { Env } from "../env.ts";
import { isMade, withDatabase } from "./database.ts";
import { entry, say } from "./print.ts";
import { insist, prepare } from "./setup.ts";

export async function migrate(env: Env, args: string[]): Promise<number> {
  const [flag, ...more] = args;
  if (more.length > 0 || (flag !== undefined && flag !== "--dry-run" && flag !== "--new-passwords"))
    throw new Error("usage: ./sd migrate [--dry-run | --new-passwords]");
  if (flag === "--dry-run") return dryRun(env);
  return withDatabase(env, async (target) => {
    insist(await prepare({ ...env, SEED: "off" }, target, flag === "--new-passwords"));
    return 0;
  });
}

/** Says what set-up would do, and changes nothing. */
async function dryRun(env: Env): Promise<number> {
  if (!(await isMade(env))) {
    say("database    embedded, not made yet: ./sd migrate makes it");
    return 0;
  }
  return withDatabase(env, async (target) => {
    const pending = await pendingOf(target);
    const onlyServes = whyOnlyServe(pending.standing);
    for (const [part, words] of Object.entries(describe(pending))) entry(part, words);
    if (onlyServes !== undefined) throw new Error(onlyServes);
    say(isNothing(pending) ? "nothing to do" : "nothing was changed: this was a dry run");
    return 0;
  });
}
