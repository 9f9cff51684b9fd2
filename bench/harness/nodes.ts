/** PostgreSQL servers on loopback that follow one another: copies of one new cluster, to be stopped, promoted and started again. */
import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { withConnection } from "../../db/connect.ts";
import { findBinaries } from "../../db/embedded/binaries.ts";
import type { Target } from "../../db/target.ts";
import { initCluster, launch, type Made, type Running, serverAccount } from "./cluster.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface Node {
  readonly port: number;
  /** The superuser, on database postgres. */
  readonly target: Target;
  /** Returns when it answers. It is what it was before. */
  start(): Promise<void>;
  /** SIGINT: it closes what is open and ends in order. SIGQUIT: as if it crashed. */
  stop(signal: "SIGINT" | "SIGQUIT"): Promise<void>;
  /** Returns when it takes writes. */
  promote(): Promise<void>;
  /** From its next start on it is a standby of this one; of itself: a standby whose primary is gone. */
  follow(primary: Pick<Node, "port">): Promise<void>;
  /** Runs statements as the superuser. */
  run(...statements: string[]): Promise<void>;
}

const ACCESS = [
  "local all all scram-sha-256",
  "host all all 127.0.0.1/32 scram-sha-256",
  "host replication all 127.0.0.1/32 scram-sha-256",
];
const SETTINGS = [
  "fsync=off",
  "max_connections=150",
  "shared_buffers=16MB",
  "wal_receiver_status_interval=1",
];

/** The programs of the embedded PostgreSQL, which the server's user can run. */
export async function embeddedBin(): Promise<string> {
  const place = { home: await temporaryDirectory(), account: (await serverAccount()) ?? {} };
  return (await findBinaries(place, () => {})).bin;
}

/** The programs of the PostgreSQL that the tests run on: of a version that SCRATCH_SERVER_URL names, or the embedded one. */
export async function testedBin(): Promise<string> {
  return process.env["SCRATCH_BIN"] ?? embeddedBin();
}

/** Starts a primary, and standbys of it, as many as `count` says in all. */
export async function startNodes(
  count: number,
  bin: string,
  settings: readonly string[] = [],
): Promise<[Node, ...Node[]]> {
  const first = await initCluster(bin, ACCESS);
  const copies: Made[] = [];
  for (let i = 1; i < count; i++) copies.push(await copied(first));
  const all = [...SETTINGS, ...settings];
  const primary = await startNode(first, all);
  const standbys: Node[] = [];
  for (const copy of copies) {
    await makeStandby(copy, primary);
    standbys.push(await startNode(copy, all));
  }
  return [primary, ...standbys];
}

async function copied(made: Made): Promise<Made> {
  const home = await temporaryDirectory();
  const data = join(home, "data");
  await promisify(execFile)("cp", ["-a", made.data, data]);
  return { ...made, home, data };
}

async function makeStandby({ data, account }: Made, { port }: Pick<Node, "port">): Promise<void> {
  const signal = join(data, "standby.signal");
  await fs.writeFile(signal, "");
  if (account) await fs.chown(signal, account.uid, account.gid);
  await fs.appendFile(
    join(data, "postgresql.auto.conf"),
    `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres password=super'\n`,
  );
}

async function startNode(made: Made, settings: readonly string[]): Promise<Node> {
  let running: Running = await launch(made, settings);
  const { port, target } = running;
  const run = (...statements: string[]) =>
    withConnection(target, async (sql) => {
      for (const statement of statements) await sql.unsafe(statement);
    });
  return {
    port,
    target,
    run,
    async start() {
      running = await launch(made, settings, port);
    },
    stop: (signal) => running.end(signal),
    promote: () => run("select pg_promote(wait_seconds => 60)"),
    follow: (primary) => makeStandby(made, primary),
  };
}
