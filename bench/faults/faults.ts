/**
 * All faults, in the order in which they are run and shown. Each strikes, sees that it has struck, and takes it back; what comes
 * of it, the checker says.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import postgres, { type Sql } from "postgres";
import { type ClusterOptions, fill, run, visit } from "./cluster.ts";
import { type Ground, type Server, untilSeen } from "./ground.ts";
import type { Mode } from "./proxy.ts";

export interface Fault {
  name: string;
  about: string;
  /** A PostgreSQL of its own; without it the fault strikes on the shared one, and must not harm it. */
  cluster?: ClusterOptions | "plain";
  /** Servers on one database; one if not said. */
  servers?: 2;
  /** The server itself stands still or is gone meanwhile. */
  isServers?: true;
  /** Of a fault that makes clocks jump: which one. */
  clock?: "server" | "database";
  /** What is missing to run it here, in a word or two. */
  needs?(): Promise<string | undefined>;
  /** `healing` is told when the harm is done with, if that is before the end. */
  strike(ground: Ground): Promise<void>;
}

export const faults: readonly Fault[] = [
  // ---- The server -------------------------------------------------------------------------------------------------
  {
    name: "server killed",
    about: "kill -9 of the server between the commit and the reply",
    isServers: true,
    async strike(ground) {
      const server = one(ground);
      const { proxy } = ground;
      await met(proxy, { is: "mute" });
      // What else was sent is committed by then.
      await sleep(30);
      server.dismiss();
      process.kill(server.pid, "SIGKILL");
      await server.ended;
      proxy.mode = { is: "pass" };
      await startAgain(ground, server);
    },
  },
  {
    name: "server stopped",
    about: "SIGSTOP of the server, and SIGCONT",
    isServers: true,
    async strike(ground) {
      const { pid } = one(ground);
      await standStill([pid], () => ground.hold(200, 8_000));
    },
  },
  {
    name: "restart",
    about: "SIGTERM of the only server in a burst, then a new one on the same port",
    isServers: true,
    async strike(ground) {
      const server = one(ground);
      await server.stop();
      await startAgain(ground, server);
    },
  },
  {
    name: "roll-out",
    about: "a new server beside the old one, which is told to end in a burst",
    async strike(ground) {
      const old = one(ground);
      const next = await ground.startServer();
      replace(ground, old, next);
      await old.stop();
    },
  },
  {
    name: "two servers",
    about: "two servers on one database, of which one is killed with -9 or stopped",
    servers: 2,
    isServers: true,
    async strike(ground) {
      const server = ground.servers[ground.random() < 0.5 ? 0 : 1] as Server;
      if (ground.random() < 0.5) return standStill([server.pid], () => ground.hold(200, 3_000));
      server.dismiss();
      process.kill(server.pid, "SIGKILL");
      await server.ended;
      await startAgain(ground, server);
    },
  },

  // ---- The database -----------------------------------------------------------------------------------------------
  {
    name: "backend killed",
    about: "kill -9 of one backend: PostgreSQL ends all others and recovers",
    cluster: "plain",
    async strike({ cluster, random }) {
      const pids = await cluster.asSuperuser((sql) => backends(sql));
      const [, ...before] = await cluster.pids();
      process.kill(pids[Math.floor(random() * pids.length)] as number, "SIGKILL");
      await untilSeen("all backends ended", async () => {
        const now = await cluster.pids();
        return !before.some((pid) => now.includes(pid));
      });
      await cluster.start();
    },
  },
  {
    name: "PostgreSQL killed",
    about: "kill -9 of the whole PostgreSQL",
    cluster: "plain",
    async strike({ cluster, hold }) {
      await anotherPostmaster(cluster, async () => {
        await cluster.kill("SIGKILL");
        await hold(0, 2_000);
      });
    },
  },
  {
    name: "immediate shutdown",
    about: "SIGQUIT of PostgreSQL, and again as soon as it is up: three times",
    cluster: "plain",
    async strike({ cluster, hold }) {
      for (let i = 0; i < 3; i++) {
        await anotherPostmaster(cluster, async () => {
          process.kill((await cluster.pids())[0] as number, "SIGQUIT");
        });
        await hold(0, 400);
      }
    },
  },
  {
    name: "PostgreSQL stopped",
    about: "SIGSTOP of the whole PostgreSQL, and SIGCONT",
    cluster: "plain",
    async strike({ cluster, hold }) {
      await standStill(await cluster.pids(), () => hold(200, 8_000));
    },
  },

  // ---- The network between ----------------------------------------------------------------------------------------
  network("network slow", "every packet between server and database 20 to 300 ms late", ({ random }) => ({
    is: "delay",
    ms: 20 + random() * 280,
  })),
  network("network drips", "a few bytes at a time", ({ random }) => ({
    is: "drip",
    bytes: 8 + Math.floor(random() * 24),
  })),
  network("cut one way", "what the server sends is lost, or what the database answers", ({ random }) => ({
    is: random() < 0.5 ? "deaf" : "mute",
  })),
  network(
    "half-open",
    "nothing arrives and nobody is told; connections that lost something stay dead",
    () => ({
      is: "silent",
    }),
  ),
  {
    name: "resets",
    about: "all connections to the database reset, again and again",
    async strike({ proxy, hold }) {
      for (let i = 0; i < 5; i++) {
        await untilSeen("a connection to reset", () => proxy.reset() > 0);
        await hold(0, 200);
      }
    },
  },
  network(
    "accepts and closes",
    "a proxy without a backend: accepts who comes, and hangs up or resets",
    ({ random, proxy }) => {
      proxy.reset();
      return { is: random() < 0.5 ? "hang up" : "refuse" };
    },
  ),

  // ---- Disks ------------------------------------------------------------------------------------------------------
  {
    name: "data disk full",
    about: "no byte left on the disk of the data, then space again",
    cluster: { disks: { data: 320, wal: 128 } },
    needs: needsMount,
    async strike({ cluster, hold }) {
      const free = await fill(cluster.disks?.data as string);
      try {
        await untilSeen("no space left", () =>
          isRefused(
            cluster.asSuperuser((sql) => sql`create temp table faults as select repeat('x', 1000) as x`),
            "53100",
          ),
        );
        await hold(500, 3_000);
      } finally {
        await free();
      }
      await cluster.start();
    },
  },
  {
    name: "WAL disk full",
    about: "no byte left on the disk of the WAL, so that PostgreSQL panics; then space again, and a restart",
    cluster: { disks: { data: 320, wal: 128 } },
    needs: needsMount,
    async strike({ cluster, hold }) {
      const logged = await panics(cluster);
      const free = await fill(cluster.disks?.wal as string);
      try {
        // Until the segments that are there are used up.
        const isUp = () =>
          cluster
            .asSuperuser(
              (sql) =>
                sql`select pg_logical_emit_message(false, 'faults', repeat('x', 1000000)), pg_switch_wal()`,
            )
            .then(
              () => true,
              () => false,
            );
        for (let i = 0; i < 100 && (await isUp()); i++);
        await untilSeen("a PANIC", async () => (await panics(cluster)) > logged);
        await hold(0, 1_000);
      } finally {
        await free();
      }
      await restart(cluster);
    },
  },
  {
    name: "fsync error",
    about:
      "fsync and fdatasync of all of PostgreSQL answer EIO (by strace), so that it panics; then it is restarted",
    cluster: "plain",
    needs: async () => ((await has("strace", "-V")) ? undefined : "strace"),
    async strike({ cluster, hold }) {
      const logged = await panics(cluster);
      const pids = await cluster.pids();
      const strace = spawn(
        "strace",
        ["-qq", "-f", "-o", "/dev/null", ...pids.flatMap((pid) => ["-p", String(pid)])].concat(
          "-e",
          "trace=fsync,fdatasync",
          "-e",
          "inject=fsync,fdatasync:error=EIO",
        ),
        { stdio: "ignore" },
      );
      const ended = new Promise((resolve) => strace.once("exit", resolve));
      await untilSeen("a PANIC", async () => {
        // A commit of our own, in case nobody else has one.
        await cluster
          .asSuperuser((sql) => sql`select pg_logical_emit_message(true, 'faults', '')`)
          .catch(() => {});
        return (await panics(cluster)) > logged;
      });
      await hold(0, 500);
      strace.kill("SIGKILL");
      await ended;
      await restart(cluster);
    },
  },

  // ---- Others in the database -------------------------------------------------------------------------------------
  {
    name: "no connection left",
    about: "others use up max_connections when the server's own were lost",
    cluster: "plain",
    strike: ({ cluster, database, hold }) =>
      cluster.asSuperuser(async (superuser) => {
        // It connects by its first query, and none is let in later.
        await superuser`select 1`;
        const others = postgres(cluster.url, { max: 100, backoff: () => 0.01, fetch_types: false });
        let isOver = false;
        try {
          // Each sleeps on a connection of its own; those that find none ask until they get one of the server's.
          for (let i = 0; i < 100; i++)
            void (async () => {
              while (!isOver) await others`select pg_sleep(60)`.catch(() => {});
            })();
          await untilSeen("a server without a connection", async () => {
            const pids = await backends(superuser);
            signal(pids, "SIGTERM");
            const visited = visit(database.apiUrl, (sql) => sql`select 1`);
            return (await isRefused(visited, "53300")) && pids.length === 0;
          });
          await hold(500, 3_000);
        } finally {
          isOver = true;
          await others.end({ timeout: 0 });
        }
        // Their sleep ends with their process.
        signal(await backends(superuser, "coupon_setup"), "SIGTERM");
      }),
  },
  {
    name: "lock held",
    about: "a session locks the coupons' rows, for longer than the server waits for a lock",
    async strike({ database: { owner }, hold }) {
      const session = await owner.reserve();
      try {
        await session`begin`;
        await session`select from coupon.coupons for update`;
        await untilSeen("one who waits for it", async () => {
          const waiting = await session`
            select from pg_locks where not granted and transactionid = pg_current_xact_id()::xid`;
          return waiting.length > 0;
        });
        await hold(1_000, 5_000);
        await session`rollback`;
      } finally {
        session.release();
      }
    },
  },
  {
    name: "idle transaction",
    about: "a transaction with a snapshot and a row of its own stays open",
    async strike({ database: { admin }, hold }) {
      const session = await admin.reserve();
      try {
        await session`begin isolation level repeatable read`;
        await session`select import_users(array[9007199254740000], array['Idle'])`;
        const [begun] = await session`select pg_current_xact_id()`;
        await hold(2_000, 10_000);
        const [still] = await session`select pg_current_xact_id()`;
        if (!isDeepStrictEqual(still, begun)) throw new Error("the transaction did not stay open");
        await session`rollback`;
      } finally {
        session.release();
      }
    },
  },

  // ---- Clocks -----------------------------------------------------------------------------------------------------
  {
    name: "server's clock",
    about: "the server's clock jumps up to 20 hours to either side, and stays there",
    clock: "server",
    needs: needsFaketime,
    async strike({ clock, random, hold }) {
      await clock.set((random() - 0.5) * 40 * 3_600);
      await hold(200, 1_000);
    },
  },
  {
    name: "database's clock",
    about: "the database's clock jumps up to ten minutes ahead, or back by half a second",
    cluster: "plain",
    clock: "database",
    needs: needsFaketime,
    async strike({ clock, random, hold }) {
      await clock.set(clock.ahead + (random() < 0.5 ? -0.5 : random() * 600));
      await hold(200, 1_000);
    },
  },

  // ---- A disaster -------------------------------------------------------------------------------------------------
  {
    name: "restore",
    about:
      "PostgreSQL and its data are lost: a base backup that was taken under load and all WAL since are restored",
    cluster: "plain",
    async strike({ cluster, hold }) {
      const { directory } = cluster;
      const copy = `${directory}.backup`;
      await cluster.asSuperuser(async (sql) => {
        await sql`select pg_backup_start('faults', fast => true)`;
        // Files come and go while it copies, which is allowed.
        await run("cp", ["-a", directory, copy]).catch(() => {});
        const [label] = await sql`select labelfile from pg_backup_stop()`;
        for (const file of ["postmaster.pid", "postmaster.opts", "pg_wal"])
          await rm(join(copy, file), { recursive: true, force: true });
        await writeFile(join(copy, "backup_label"), label?.["labelfile"]);
        await run("chown", [`--reference=${directory}`, join(copy, "backup_label")]);
      });
      await hold(200, 2_000);
      await anotherPostmaster(cluster, async () => {
        await cluster.kill("SIGKILL");
        await rename(join(directory, "pg_wal"), join(copy, "pg_wal"));
        await rm(directory, { recursive: true, maxRetries: 10 });
        await rename(copy, directory);
      });
      await untilSeen("a recovery of the backup", () => existsSync(join(directory, "backup_label.old")));
    },
  },
];

function network(name: string, about: string, modeOf: (ground: Ground) => Mode): Fault {
  return {
    name,
    about,
    async strike(ground) {
      await met(ground.proxy, modeOf(ground));
      await ground.hold(200, 4_000);
      ground.proxy.mode = { is: "pass" };
    },
  };
}

/** Strikes with the proxy, until something that was sent or somebody who connects has met it. */
async function met(proxy: Ground["proxy"], mode: Mode): Promise<void> {
  const before = proxy.met;
  proxy.mode = mode;
  await untilSeen(`a connection that is ${mode.is}`, () => proxy.met > before);
}

/** Those that are there yet. */
function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids)
    try {
      process.kill(pid, name);
    } catch {
      // One that has ended by itself, as an autovacuum worker does.
    }
}

async function standStill(pids: readonly number[], meanwhile: () => Promise<void>): Promise<void> {
  signal(pids, "SIGSTOP");
  try {
    await untilSeen("all stopped", async () => {
      const stats = await Promise.all(
        pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")),
      );
      // Its name, which may be anything, stands in brackets before its state.
      const states = stats.filter(Boolean).map((stat) => stat.slice(stat.lastIndexOf(")") + 2)[0]);
      return states.length > 0 && states.every((state) => state === "T");
    });
    await meanwhile();
  } finally {
    signal(pids, "SIGCONT");
  }
}

/** Strikes PostgreSQL down, and starts it again; one that has not ended yet may answer meanwhile. */
async function anotherPostmaster(
  { pids, start }: Ground["cluster"],
  strike: () => Promise<void>,
): Promise<void> {
  const [before] = await pids();
  await strike();
  await untilSeen("another postmaster", async () => {
    await start();
    const [now] = await pids().catch(() => [before]);
    return now !== before;
  });
}

/** How often its log tells of a panic. */
async function panics({ directory }: Ground["cluster"]): Promise<number> {
  return (await readFile(join(directory, "postgres.log"), "utf8")).split("PANIC:").length - 1;
}

function isRefused(work: Promise<unknown>, sqlstate: string): Promise<boolean> {
  return work.then(
    () => false,
    ({ code }: { code?: string }) => code === sqlstate,
  );
}

function one({ servers }: Ground): Server {
  return servers[0] as Server;
}

async function startAgain(ground: Ground, old: Server): Promise<void> {
  replace(ground, old, await ground.startServer(old.port));
}

function replace({ servers, targets }: Ground, old: Server, next: Server): void {
  servers.splice(servers.indexOf(old), 1, next);
  targets.splice(targets.indexOf(old.url), 1, next.url);
}

/** Process ids of the sessions of a login. */
async function backends(sql: Sql, login = "coupon_api"): Promise<number[]> {
  const sessions = await sql`
    select pid from pg_stat_activity where usename = ${login} and backend_type = 'client backend'`;
  return sessions.map((row) => row["pid"]);
}

/**
 * As an operator does after a panic. PostgreSQL 18.4 mostly restarts by itself, or ends; but when its recovery fails too, its
 * postmaster may stay behind for ever, without a startup process and refusing everybody with 57P03.
 */
async function restart({ kill, start }: Ground["cluster"]): Promise<void> {
  // Without a postmaster.pid it has ended.
  await kill("SIGKILL").catch(() => {});
  await start();
}

async function needsMount(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "root, to mount a small disk";
  const directory = "/tmp";
  const tried = await run("unshare", ["--mount", "mount", "-t", "tmpfs", "faults", directory]).catch(
    () => undefined,
  );
  return tried ? undefined : "the right to mount a small disk";
}

/** Debian's path, and Ubuntu's. */
export const FAKETIME = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`;

async function needsFaketime(): Promise<string | undefined> {
  return existsSync(FAKETIME) ? undefined : "faketime";
}

function has(command: string, ...args: string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  );
}
