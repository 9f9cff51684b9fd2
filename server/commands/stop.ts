/** ./sd stop: stops the embedded PostgreSQL. */
import { stopEmbedded } from "../../db/embedded/embedded.ts";
import type { Env } from "../env.ts";
import { say } from "./print.ts";

export async function stop(env: Env): Promise<number> {
  const stopped = await stopEmbedded({ dataDir: env.DATA_DIR });
  say(stopped ? "stopped the embedded PostgreSQL" : "nothing was running");
  return 0;
}
