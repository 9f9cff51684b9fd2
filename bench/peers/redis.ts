/** A redis-server of our own: on loopback, on a free port, in a directory of its own, ended by its id. */
import { spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { freePort } from "../../db/embedded/port.ts";
import { readEnv } from "../../server/env.ts";
import { atEnd } from "../harness/cleanup.ts";

export type Fsync = "everysec" | "always";

export interface Redis {
  url: string;
  pid: number;
  /** Nothing but this coupon, with so many units. */
  reset(couponId: number, count: number): Promise<void>;
  /** Recorded grants, users whose day is spent, units left. */
  holdings(couponId: number): Promise<{ holders: number; users: number; left: number }>;
  stop(): Promise<void>;
}

/** "7.0.15", or null when redis-server is not on this machine. */
export function redisVersion(): string | null {
  const { stdout } = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
  return stdout?.match(/v=(\S+)/)?.[1] ?? null;
}

/**
 * Starts one with the append-only file written through every second or on every turn of its event loop. No snapshots and no
 * rewriting of that file, which would slow it down. Its files lie beside the embedded PostgreSQL's, on the same disk.
 */
export async function startRedis(fsync: Fsync): Promise<Redis> {
  const { DATA_DIR } = readEnv();
  await mkdir(DATA_DIR, { recursive: true });
  const directory = await mkdtemp(join(DATA_DIR, "redis-"));
  const port = await freePort();
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir: directory,
    daemonize: "no",
    loglevel: "warning",
    save: "",
    appendonly: "yes",
    appendfsync: fsync,
    "auto-aof-rewrite-percentage": "0",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn("redis-server", args, { stdio: ["ignore", "ignore", "inherit"] });
  let isUp = true;
  const ended = new Promise<void>((resolve) =>
    child.once("exit", () => {
      isUp = false;
      resolve();
    }),
  );
  const url = `redis://127.0.0.1:${port}`;
  const client = createClient({ url, socket: { reconnectStrategy: () => 50 } });
  client.on("error", () => {}); // it isn't up at once
  const stop = atEnd(async () => {
    client.destroy();
    child.kill("SIGTERM");
    await ended;
    await rm(directory, { recursive: true, force: true });
  });
  const failed = Promise.race([ended, sleep(10_000, undefined, { ref: false })]).then(() => {
    if (!client.isReady) throw new Error(`redis-server ${isUp ? "does not answer" : "ended at once"}`);
  });
  try {
    await Promise.race([client.connect(), failed]);
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    url,
    pid: child.pid as number,
    async reset(couponId, count) {
      await client.flushAll("SYNC");
      await client.set(`coupon:${couponId}:left`, String(count));
    },
    async holdings(couponId) {
      const days = await client.keys("day:*");
      const users = await Promise.all(days.map((day) => client.sCard(day)));
      return {
        holders: await client.hLen(`coupon:${couponId}:holders`),
        users: users.reduce((sum, n) => sum + n, 0),
        left: Number(await client.get(`coupon:${couponId}:left`)),
      };
    },
    stop,
  };
}
