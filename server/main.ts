/** The server: one process, or several behind one port. */
import cluster from "node:cluster";
import { readEnv } from "./env.ts";
import { serve } from "./serve.ts";
import { runWorkers } from "./workers.ts";

try {
  const env = readEnv();
  if (env.WORKERS > 1 && cluster.isPrimary) await runWorkers(env);
  else await serve(env);
} catch (error) {
  console.error(`server: ${(error as Error).message}`);
  process.exit(1);
}
