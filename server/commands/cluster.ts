/** ./sd cluster: a cluster on this machine that loses nothing with one of its nodes, to try what a real one does. */
import { withConnection } from "../../db/connect.ts";
import { madeTokenSecret } from "../auth/secret.ts";
import {
  type Cluster,
  findCluster,
  readinessOf,
  removeCluster,
  startCluster,
  stopCluster,
  urlFile,
} from "../cluster/cluster.ts";
import { NODES, type Node, PARTS, type Part, SERVERS } from "../cluster/layout.ts";
import { leaderOf, synchronousOf } from "../cluster/patroni.ts";
import type { Env } from "../env.ts";
import { confirmed } from "./confirmed.ts";
import { entry, say } from "./print.ts";
import { seed } from "./seed.ts";
import { heedSignals, signalled, untilSignal } from "./signals.ts";
import { commits } from "./status.ts";

const USAGE = `usage: ./sd cluster [start | status | switchover [${NODES.join(" | ")}] | kill (${PARTS.join(" | ")}) | stop | reset [--yes]]`;

type Subcommand = (env: Env, args: string[]) => Promise<number>;

const subcommands: Record<string, Subcommand> = { start, status, switchover, kill, stop, reset };

export async function cluster(env: Env, [name = "start", ...args]: string[]): Promise<number> {
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (!subcommand) throw new Error(USAGE);
  return subcommand(env, args);
}

const whereOf = (env: Env) => ({ dataDir: env.DATA_DIR });

/** The cluster that was made here. */
async function existing(env: Env): Promise<Cluster> {
  const found = await findCluster(whereOf(env));
  if (!found) throw new Error(`there is no cluster in ${env.DATA_DIR}: ./sd cluster makes one`);
  return found;
}

function noMore(args: string[]): void {
  if (args.length > 0) throw new Error(USAGE);
}

async function start(env: Env, args: string[]): Promise<number> {
  noMore(args);
  heedSignals();
  const began = performance.now();
  const found = await startCluster({
    ...whereOf(env),
    keys: { ...env, JWT_SECRET: await madeTokenSecret(env) },
    log: say,
    signal: signalled,
  });
  // Demo data is the embedded database's, unless it is asked for.
  if (env.SEED === "demo")
    await untilSignal(() =>
      withConnection(found.target, (sql) => seed(sql, (line) => say(`  ${line}`)), { role: "coupon_admin" }),
    );
  const nodes = await found.nodes();
  say(
    `up in ${((performance.now() - began) / 1000).toFixed(1)} s: ${leaderOf(nodes)} leads, a commit waits for ${synchronousOf(nodes)}

  service   ${found.url}
  servers   ${found.servers.join("  ")}
  database  export DATABASE_URL="$(cat '${urlFile(whereOf(env))}')"; then ./sd psql, ./sd check, …
  files     ${found.directory}

it runs until ./sd cluster stop; ./sd cluster switchover, kill n1 and status show what it does when a node goes`,
  );
  return 0;
}

/** Status 1 while no node leads. */
async function status(env: Env, args: string[]): Promise<number> {
  noMore(args);
  const found = await existing(env);
  const nodes = await found.nodes();
  for (const { node, role, timeline, lag } of nodes) {
    const words = [role, timeline && `timeline ${timeline}`, lag !== undefined && `${lag} bytes behind`];
    entry(node, words.filter(Boolean).join(", "));
  }
  entry("commit", leaderOf(nodes) ? await commit(found) : "impossible: no node leads");
  for (const [i, url] of found.servers.entries())
    entry(SERVERS[i] ?? "", `${url}, ${await readinessOf(url)}`);
  for (const part of ["etcd", "haproxy"] as const)
    entry(part, (await found.isRunning(part)) ? "runs" : "not running");
  return leaderOf(nodes) ? 0 : 1;
}

/** What a commit waits for; the node that leads may go before it is asked, and HAProxy notices after it. */
function commit({ superuser }: Cluster): Promise<string> {
  return withConnection(superuser, commits, { fetchTypes: false }).catch(
    (error: Error) => `unknown: ${error.message}`,
  );
}

async function switchover(env: Env, [candidate, ...args]: string[]): Promise<number> {
  noMore(args);
  if (candidate !== undefined && !isAmong(NODES, candidate)) throw new Error(USAGE);
  const found = await existing(env);
  const began = performance.now();
  const { from, to } = await found.switchover(candidate as Node | undefined);
  say(
    `${to} leads, after ${from}; a commit waits for a standby again: ${((performance.now() - began) / 1000).toFixed(1)} s`,
  );
  return 0;
}

async function kill(env: Env, [part = "", ...args]: string[]): Promise<number> {
  noMore(args);
  if (!isAmong(PARTS, part)) throw new Error(USAGE);
  await (await existing(env)).kill(part as Part);
  say(
    `killed ${part}; ./sd cluster status shows what becomes of the rest, ./sd cluster start brings it back`,
  );
  return 0;
}

const isAmong = (names: readonly string[], name: string) => names.includes(name);

async function stop(env: Env, args: string[]): Promise<number> {
  noMore(args);
  say((await stopCluster(whereOf(env))) ? "stopped the cluster" : "nothing was running");
  return 0;
}

async function reset(env: Env, args: string[]): Promise<number> {
  noMore(args.filter((arg) => arg !== "--yes"));
  const question = `remove the cluster in ${env.DATA_DIR} with all its data?`;
  if (!args.includes("--yes") && !(await confirmed(question))) {
    say("nothing was removed");
    return 1;
  }
  await removeCluster(whereOf(env));
  say(`removed the cluster in ${env.DATA_DIR}`);
  return 0;
}
