/** What a fault strikes: the servers, what lies between them and the database, and the database. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Process, startProcess } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import type { Cluster } from "./cluster.ts";
import type { History } from "./history.ts";
import type { TcpProxy } from "./proxy.ts";

export interface Server extends Process {
  port: number;
  /** Says that the server may end from now on. */
  dismiss(): void;
}

export interface Ground {
  random: () => number;
  database: Scratch;
  proxy: TcpProxy;
  /** The servers that the clients ask. A fault that starts or ends one updates this list. */
  servers: Server[];
  /** The addresses to which the clients send. */
  targets: string[];
  startServer(port?: number): Promise<Server>;
  /** The fault's own PostgreSQL, if it asked for one. */
  cluster: Cluster;
  /** The clock that the fault asked for: by how many seconds it is ahead. `set` waits until the new time is seen. */
  clock: { ahead: number; set(ahead: number): Promise<void> };
  /** Waits for a time between the two, in ms. The seed decides how long. A short run waits a quarter of that. */
  hold(least: number, most: number): Promise<void>;
}

/** Starts server/main.ts, or that of another checkout. If the process ends before it was dismissed, the history records a death. */
export async function startServer(
  apiUrl: string,
  secret: string,
  history: History,
  port = 0,
  environment: Record<string, string> = {},
  main = "server/main.ts",
): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    try {
      const server = await startProcess(main, {
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
