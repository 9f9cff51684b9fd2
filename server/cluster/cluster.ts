/**
 * A cluster on this machine, of Debian's packages: etcd, three PostgreSQL nodes under Patroni, HAProxy and two servers. A commit
 * waits for a second node, so that no acknowledged grant is lost with the first. All of it listens on loopback.
 */
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../../db/connect.ts";
import { makeDirectory } from "../../db/embedded/files.ts";
import { locked } from "../../db/embedded/lock.ts";
import { existingPlace, isRoot } from "../../db/embedded/place.ts";
import { succeeds } from "../../db/embedded/run.ts";
import { setUp } from "../../db/setup.ts";
import type { Target } from "../../db/target.ts";
import {
  configure,
  configureServers,
  isFree,
  isNode,
  type Keys,
  type Layout,
  layOut,
  NODES,
  type Node,
  PARTS,
  type Part,
  portOf,
  portsOfPart,
  SERVERS,
} from "./layout.ts";
import { findPrograms, programs } from "./packages.ts";
import { askConfigure, lateOf, leaderOf, type NodeState, nodeStates } from "./patroni.ts";
import { createProcesses, type Pids, type Processes } from "./processes.ts";
import { switchOver } from "./switchover.ts";

/** Far more than a busy machine needs. */
const UP_MS = 120_000;
const LOOK_MS = 100;

export interface Cluster {
  /** The set-up login on the service's database, wherever the primary is. */
  target: Target;
  /** Postgres's superuser, there. */
  superuser: Target;
  /** Where users come in; HAProxy chooses a server that is ready. */
  url: string;
  /** Each server by itself. */
  servers: readonly string[];
  /** Configuration, data and logs. */
  directory: string;
  nodes(): Promise<NodeState[]>;
  isRunning(part: Part): Promise<boolean>;
  /** The process ids of a part, and of the PostgreSQL that Patroni has started for a node. */
  pids(part: Part): Promise<Pids>;
  /** Starts a part with the configuration that it has. Nothing happens if it runs. */
  launch(part: Part): Promise<void>;
  /** Ends a part in order. Throws if it does not run. */
  end(part: Part): Promise<void>;
  /** Ends a part as a machine ends that loses its power. Throws if it does not run. */
  kill(part: Part): Promise<void>;
  /** Changes settings of Patroni's dynamic configuration, which the nodes take over at their next turn; null gives back the default. */
  configure(settings: Readonly<Record<string, unknown>>): Promise<void>;
  /** Makes the synchronous standby the leader; one that is named must be it. Returns both, once commits have a standby to wait for again. */
  switchover(candidate?: Node): Promise<{ from: Node; to: Node }>;
}

export interface Where {
  /** DATA_DIR; the cluster lives in its directory `cluster`. */
  dataDir: string;
}

export interface StartOptions extends Where {
  /** Of the servers. */
  keys: Keys;
  log?: (line: string) => void;
  /** Ends the start; what it has started is ended, and what it has made is removed, unless the cluster has been up. One that fails keeps its logs. */
  signal?: AbortSignal;
}

const rootOf = ({ dataDir }: Where) => join(dataDir, "cluster");
/** The URL of the set-up login, for DATABASE_URL. It is there once the cluster has been up. */
export const urlFile = (where: Where) => join(rootOf(where), "database.url");

/** Starts all that does not run, and makes the cluster at the first time. Returns when the servers are ready. */
export async function startCluster(options: StartOptions): Promise<Cluster> {
  const found = findPrograms();
  const root = rootOf(options);
  await makeDirectory(root);
  const work = async (real: string) => {
    const log = options.log ?? (() => {});
    const layout = await layOut(real, log);
    const processes = createProcesses(layout, found);
    const isMade = existsSync(urlFile(options));
    const launched: Part[] = [];
    const up = createWaiting(layout, processes, launched, options.signal);
    try {
      await checkPorts(layout, processes);
      await configure(layout, found);
      const launch = async (part: Part) => {
        options.signal?.throwIfAborted();
        if (await processes.launch(part)) launched.push(part);
      };
      await launch("etcd");
      await up.until("etcd", () => isHealthy(layout));
      log("  etcd answers");
      for (const node of NODES) await launch(node);
      await launch("haproxy");
      await up.untilReplicated(log);
      await makeDatabase(layout, up);
      await setUp(layout.target, (step) => log(`  set-up: ${step}`));
      await configureServers(layout, options.keys);
      for (const server of SERVERS) await launch(server);
      for (const [i, url] of serversOf(layout).entries()) await up.untilReady(SERVERS[i] as Part, url);
      await up.untilReady("haproxy", urlOf(layout));
      log("  servers are ready");
      await fs.writeFile(urlFile(options), `${layout.target.url}\n`, { mode: 0o600 });
      return handleOf(layout, processes);
    } catch (error) {
      // What a start left behind that was killed, before it was up, has its files there too.
      for (const part of isMade ? launched.reverse() : [...PARTS].reverse()) await processes.end(part);
      const hasFailed = launched.length > 0 && !options.signal?.aborted;
      if (!isMade) await (hasFailed ? removeAllButLogs(layout) : removeFiles(real));
      // A signal also ends the programs that set up, and the error may be theirs.
      options.signal?.throwIfAborted();
      throw error;
    }
  };
  return locked(await fs.realpath(root), work, options.signal);
}

/** The cluster as it is, and nothing where none was made. */
export async function findCluster(where: Where): Promise<Cluster | undefined> {
  if (!existsSync(urlFile(where))) return undefined;
  const layout = await layOut(await fs.realpath(rootOf(where)), () => {});
  return handleOf(layout, createProcesses(layout, findPrograms()));
}

/** Whether anything of a cluster is there. */
export const hasCluster = (where: Where) => existsSync(rootOf(where));

/** Ends all its processes, standbys before their leader. The answer is whether any ran. */
export async function stopCluster(where: Where): Promise<boolean> {
  if (!hasCluster(where)) return false;
  return locked(await fs.realpath(rootOf(where)), (real) => endAll(real));
}

/** Ends it and removes all that was made for it, here and under /var/lib. */
export async function removeCluster(where: Where): Promise<void> {
  if (!hasCluster(where)) return;
  await locked(await fs.realpath(rootOf(where)), async (real) => {
    await endAll(real);
    await removeFiles(real);
  });
}

async function endAll(root: string): Promise<boolean> {
  if (!existsSync(join(root, "ports"))) return false;
  const layout = await layOut(root, () => {});
  const processes = createProcesses(layout, programs());
  const leader = leaderOf(await nodeStates(layout));
  const nodes = [...NODES.filter((node) => node !== leader), ...(leader ? [leader] : [])];
  let ran = false;
  // Servers first, which are told nothing else about it. etcd last: Patroni gives up its lock there.
  const ended = async (parts: readonly Part[]) => {
    const each = await Promise.all(parts.map((part) => processes.end(part)));
    ran ||= each.some(Boolean);
  };
  await ended(SERVERS);
  await ended(["haproxy", ...nodes.slice(0, -1)]);
  await ended(nodes.slice(-1));
  await ended(["etcd"]);
  return ran;
}

/** They say why it did not come up. */
async function removeAllButLogs({ directory, place: { root } }: Layout): Promise<void> {
  for (const home of [directory, root])
    for (const name of await fs.readdir(home))
      if (!name.endsWith(".log") && join(home, name) !== directory)
        await fs.rm(join(home, name), { recursive: true, force: true });
}

async function removeFiles(root: string): Promise<void> {
  const { fallback } = existingPlace(root);
  for (const directory of isRoot() ? [fallback, root] : [root])
    await fs.rm(directory, { recursive: true, force: true });
}

/** Throws if a part that is to be started finds one of its ports taken. */
async function checkPorts(layout: Layout, processes: Processes): Promise<void> {
  for (const part of PARTS) {
    const { own, postgres } = await processes.pids(part);
    if (own.length > 0) continue;
    // A PostgreSQL that goes on without its Patroni is taken over by the next one.
    const kept = isNode(part) && postgres.length > 0 ? portOf(layout, part) : undefined;
    for (const port of portsOfPart(layout, part))
      if (port !== kept && !(await isFree(port)))
        throw new Error(
          `port ${port}, which is ${part}'s, is in use: end what listens there, or make the cluster anew by ./sd cluster reset`,
        );
  }
}

interface Waiting {
  /** Waits until something holds. Throws when this part has ended meanwhile, or it takes too long. */
  until(part: Part, holds: () => Promise<boolean>): Promise<void>;
  /** Waits until the server that answers there is ready. */
  untilReady(part: Part, url: string): Promise<void>;
  /** Waits until there is a leader with a synchronous standby and another one; logs what each node becomes. */
  untilReplicated(log: (line: string) => void): Promise<void>;
}

function createWaiting(
  layout: Layout,
  processes: Processes,
  launched: readonly Part[],
  signal: AbortSignal | undefined,
): Waiting {
  async function until(
    part: Part | (() => Part),
    holds: () => Promise<boolean>,
    now = () => "",
  ): Promise<void> {
    for (const deadline = Date.now() + UP_MS; !(await holds()); await sleep(LOOK_MS)) {
      signal?.throwIfAborted();
      const ended = await processes.firstEnded(launched);
      if (ended) throw new Error(`${ended} has ended: see ${await processes.logTail(ended)}`);
      if (Date.now() <= deadline) continue;
      const late = typeof part === "string" ? part : part();
      throw new Error(
        `${late} is not ready after ${UP_MS / 1000} s${now()}: see ${await processes.logTail(late)}`,
      );
    }
  }
  return {
    until,
    untilReady(part, url) {
      let seen = "";
      const isReady = async () => {
        seen = await readinessOf(url);
        return seen === READY;
      };
      return until(part, isReady, () => ` (${seen})`);
    },
    untilReplicated(log) {
      let shown = new Map<Node, string>();
      let states: readonly NodeState[] = [];
      const late = () => lateOf(states);
      return until(late, async () => {
        states = await nodeStates(layout);
        for (const { node, role } of states)
          if (shown.get(node) !== role && role !== "not running") log(`  ${node}: ${role}`);
        shown = new Map(states.map(({ node, role }) => [node, role]));
        const roles = states.map(({ role }) => role).sort();
        return roles.join() === "leader,standby,synchronous";
      });
    },
  };
}

async function isHealthy({ ports }: Layout): Promise<boolean> {
  const url = `http://127.0.0.1:${ports["ETCD_PORT"]}/health`;
  return (await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined))?.status === 200;
}

const READY = "ready";

/** What a server says of itself, in words: READY, or why it is not. */
export async function readinessOf(url: string): Promise<string> {
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) });
    const { outcome, detail } = (await answer.json()) as { outcome?: string; detail?: string };
    return answer.status === 200 ? READY : `not ready: ${outcome}. ${detail}`;
  } catch (error) {
    return (error as Error).name === "TimeoutError" ? "no answer" : "not running";
  }
}

const superuserOf = ({ target, superuserPassword }: Layout) =>
  target.withLogin("postgres", superuserPassword).on("postgres");

/** Makes the set-up login and its database, as db/README.md tells a DBA to. */
async function makeDatabase(layout: Layout, up: Waiting): Promise<void> {
  const superuser = superuserOf(layout);
  const { login, password, database } = layout.target;
  // HAProxy asks a node twice a second whether it leads.
  await up.until("haproxy", () =>
    succeeds(withConnection(superuser, (sql) => sql`select`, { fetchTypes: false })),
  );
  await withConnection(superuser, async (sql) => {
    const [role] = await sql`select from pg_roles where rolname = ${login}`;
    if (!role) await sql.unsafe(`create role ${login} login createrole password '${password}'`);
    const [made] = await sql`select from pg_database where datname = ${database}`;
    if (!made)
      await sql.unsafe(`create database ${database} owner ${login} encoding 'UTF8' template template0`);
  });
}

const urlOf = ({ ports }: Layout) => `http://127.0.0.1:${ports["HTTP_PORT"]}`;
const serversOf = (layout: Layout) => SERVERS.map((server) => `http://127.0.0.1:${portOf(layout, server)}`);

function handleOf(layout: Layout, processes: Processes): Cluster {
  const nodes = () => nodeStates(layout);
  return {
    target: layout.target,
    superuser: superuserOf(layout),
    url: urlOf(layout),
    servers: serversOf(layout),
    directory: layout.directory,
    nodes,
    isRunning: processes.isRunning,
    pids: processes.pids,
    async launch(part) {
      await processes.launch(part);
    },
    async end(part) {
      if (!(await processes.end(part))) throw new Error(`${part} does not run`);
    },
    async kill(part) {
      if (!(await processes.kill(part))) throw new Error(`${part} does not run`);
    },
    configure: (settings) => askConfigure(layout, settings),
    // Not beside a stop, after which it would start the leader of before.
    switchover: (candidate) =>
      locked(layout.place.root, () => switchOver(layout, processes, superuserOf(layout), candidate)),
  };
}
