/** The service as an operator runs it, on a database of its own: the process that a bench fires at. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { type Scratch, scratchDatabase } from "../db/scratch.ts";
import { signToken } from "../server/auth.ts";
import { readEnv } from "../server/env.ts";

export interface Service {
  url: string;
  database: Scratch;
  /** What its tokens are signed with. */
  secret: string;
  /** A bearer token of this user. */
  token(userId: number): Promise<string>;
  stop(): Promise<void>;
}

/** Starts server/main.ts on a fresh scratch database with users 1 to `users`; `stop()` removes both. */
export async function startService(users: number): Promise<Service> {
  const database = await scratchDatabase();
  const secret = randomBytes(32).toString("hex");
  const env = readEnv({ JWT_SECRET: secret });
  await addUsers(database, users);

  // To profile: BENCH_SERVER_ARGS="--cpu-prof --cpu-prof-dir=profile" ./sd bench burst
  const args = process.env["BENCH_SERVER_ARGS"]?.split(" ") ?? [];
  const server = spawn(process.execPath, [...args, "--import", "tsx", "server/main.ts"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env["PATH"],
      API_DATABASE_URL: database.apiUrl,
      JWT_SECRET: secret,
      HOST: "127.0.0.1",
      PORT: "0",
    },
  });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  const url = await listeningUrl(server.stdout, ended).catch(async (error) => {
    await database.drop();
    throw error;
  });

  return {
    url,
    database,
    secret,
    token: (userId) => signToken(secret, env, { role: "user", subject: String(userId) }),
    async stop() {
      server.kill("SIGTERM");
      await ended;
      await database.drop();
    },
  };
}

async function addUsers({ admin }: Scratch, users: number): Promise<void> {
  for (let first = 1; first <= users; first += 100_000) {
    const last = Math.min(users, first + 99_999);
    await admin`
      select count(*) from import_users(
        array(select n from generate_series(${first}::bigint, ${last}::bigint) n),
        array(select 'User ' || n from generate_series(${first}::bigint, ${last}::bigint) n))
    `;
  }
}

/** Reads the server's log, all of it so that it never blocks, and answers with the address that it says. */
function listeningUrl(log: Readable, ended: Promise<void>): Promise<string> {
  return new Promise((resolve, reject) => {
    void ended.then(() => reject(new Error("the server ended before it listened")));
    createInterface({ input: log }).on("line", (line) => {
      const { message, url } = JSON.parse(line);
      if (message === "listening") resolve(url);
    });
  });
}
