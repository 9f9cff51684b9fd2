/** The service as an operator runs it, on a database of its own: the process that a bench fires at. */
import { randomBytes } from "node:crypto";
import { metricsTokenOf } from "../../server/auth/secret.ts";
import { atEnd } from "./cleanup.ts";
import { type Process, startProcess } from "./process.ts";
import { type Scratch, scratchDatabase } from "./scratch.ts";
import { addUsers } from "./tables.ts";
import { userToken } from "./tokens.ts";

export interface Service extends Process {
  database: Scratch;
  /** What its tokens are signed with. */
  secret: string;
  /** What GET /metrics takes. */
  metricsHeaders: { authorization: string };
  /** A bearer token of this user. */
  token(userId: number): string;
}

export const newSecret = () => randomBytes(32).toString("hex");

/** Starts server/main.ts on a fresh scratch database with users 1 to `users`; `stop()` removes both. */
export async function startService(users: number): Promise<Service> {
  const database = await newDatabase();
  const secret = newSecret();
  try {
    await addUsers(database, 1, users);
    const server = await startServer(database.apiUrl, { JWT_SECRET: secret });
    return {
      ...server,
      database,
      secret,
      metricsHeaders: metricsHeadersOf(secret),
      token: (userId) => userToken(secret, userId),
      async stop() {
        await server.stop();
        await database.drop();
      },
    };
  } catch (error) {
    await database.drop();
    throw error;
  }
}

/** A scratch database that is dropped even if a signal ends the bench. */
export async function newDatabase(): Promise<Scratch> {
  const database = await scratchDatabase();
  return { ...database, drop: atEnd(database.drop) };
}

/**
 * Starts server/main.ts on an existing database, with the setting of the key of its tokens. To profile it:
 * BENCH_SERVER_ARGS="--cpu-prof --cpu-prof-dir=profile" ./sd bench burst. WORKERS is passed on.
 */
export function startServer(apiUrl: string, key: Record<string, string>): Promise<Process> {
  const { BENCH_SERVER_ARGS, WORKERS } = process.env;
  return startProcess(
    "server/main.ts",
    {
      API_DATABASE_URL: apiUrl,
      ...key,
      HOST: "127.0.0.1",
      PORT: "0",
      ...(WORKERS ? { WORKERS } : {}),
    },
    BENCH_SERVER_ARGS?.split(" ") ?? [],
  );
}

/** What GET /metrics of a server with this secret takes. */
function metricsHeadersOf(secret: string) {
  return { authorization: `Bearer ${metricsTokenOf({ JWT_SECRET: secret })}` };
}

/** Reads a metric of a server that startServer() started: the sum of all series that begin like this, for example "name{label=". */
export async function readMetric(url: string, secret: string, series: string): Promise<number> {
  const response = await fetch(`${url}/metrics`, { headers: metricsHeadersOf(secret) });
  const lines = (await response.text()).split("\n").filter((line) => line.startsWith(series));
  if (lines.length === 0) throw new Error(`/metrics, status ${response.status}, has no ${series}`);
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}
