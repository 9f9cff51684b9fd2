/** What a fault strikes: the servers, what lies between them and the database, and the database. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Process, startProcess } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import type { Cluster } from "./cluster.ts";
import type { History } from "./history.ts";
import type { TcpProxy } from "./proxy.ts";

export interface Server extends Process {
  port: number;
  /** From now on it may end. */
  dismiss(): void;
}

export interface Ground {
  random: () => number;
  database: Scratch;
  proxy: TcpProxy;
  /** Those that the clients ask; a fault that starts or ends one keeps this up. */
  servers: Server[];
  /** Where the clients send. */
  targets: string[];
  startServer(port?: number): Promise<Server>;
  /** A PostgreSQL of one's own, where the fault asked for one. */
  cluster: Cluster;
  /** By how many seconds the clock is ahead, where the fault asked for one; and sets it so, until that is seen. */
  clock: { ahead: number; set(ahead: number): Promise<void> };
  /** Waits for a time between the two, ms, drawn from the seed; a short run's is a quarter of it. */
  hold(least: number, most: number): Promise<void>;
}

/** server/main.ts; one that ends and was not dismissed is a death in the history. */
export async function startServer(
  apiUrl: string,
  secret: string,
  history: History,
  port = 0,
  environment: Record<string, string> = {},
): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    try {
      const server = await startProcess("server/main.ts", {
        API_DATABASE_URL: apiUrl,
        JWT_SECRET: secret,
        HOST: "127.0.0.1",
        PORT: String(port),
        ...environment,
      });
      let isDismissed = false;
      void server.ended.then((how) => {
        if (!isDismissed) history.deaths.push(`${server.url} ended: ${how}`);
      });
      const dismiss = () => {
        isDismissed = true;
      };
      return {
        ...server,
        port: Number(new URL(server.url).port),
        dismiss,
        async stop() {
          dismiss();
          await server.stop();
        },
      };
    } catch (error) {
      // The port of one that was killed may be taken for a moment.
      if (attempt === 5) throw error;
      await sleep(200);
    }
  }
}
