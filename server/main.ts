/** The server: one process, or several behind one port. */
import cluster from "node:cluster";
import { readEnv } from "./env.ts";
import { serve } from "./serve.ts";
import { runWorkers } from "./workers.ts";

try {
  const env = readEnv();
  if (env.WORKERS > 1 && cluster.isPrimary) await runWorkers(env);
  else
    await serve(env).catch((error: { code?: string; message: string }) => {
      if (error.code === "EADDRINUSE")
        throw new Error(`port ${env.PORT} is in use: end what listens there, or set PORT to another one`);
      if (error.code === "EACCES")
        throw new Error(`port ${env.PORT} needs more rights: set PORT to one from 1024 on`);
      if (error.code === "EADDRNOTAVAIL") throw new Error(`HOST ${env.HOST} is no address of this machine`);
      throw error;
    });
} catch (error) {
  console.error(`server: ${(error as Error).message}`);
  process.exit(1);
}
