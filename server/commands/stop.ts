/** ./sd stop: stops the embedded PostgreSQL. */
import { embeddedUsers, stopEmbedded } from "../../db/embedded/embedded.ts";
import type { Env } from "../env.ts";
import { say } from "./print.ts";

export async function stop(env: Env): Promise<number> {
  const users = await embeddedUsers({ dataDir: env.DATA_DIR });
  const stopped = await stopEmbedded({ dataDir: env.DATA_DIR });
  say(stopped ? `stopped the embedded PostgreSQL${usedBy(users)}` : "nothing was running");
  return 0;
}

/** Whose work ends with it. */
export function usedBy(programs: string[], verb: "use" | "used" = "used"): string {
  return programs.length === 0 ? "" : `, which ${programs.join(", ")} ${verb}`;
}
