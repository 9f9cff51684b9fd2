/**
 * Where a cluster lives and what it is made of. In the data directory, as the user who runs ./sd:
 *
 *     cluster/postgres/    configuration, data and logs of etcd, the nodes and HAProxy; under /var/lib where root's PostgreSQL
 *                          cannot reach that (see db/embedded/place.ts)
 *     cluster/*.password   of the superuser, of replication and of the set-up login
 *     cluster/s1.env       configuration of a server, with its key; s1.log beside it
 *     cluster/ports        the first of the ports; all follow it
 */
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { password, readIfThere } from "../../db/embedded/files.ts";
import { findPlace, nameOf, type Place } from "../../db/embedded/place.ts";
import { freePort } from "../../db/embedded/port.ts";
import { type Target, targetOf } from "../../db/target.ts";
import type { Programs } from "./packages.ts";

export const NODES = ["n1", "n2", "n3"] as const;
export const SERVERS = ["s1", "s2"] as const;
export type Node = (typeof NODES)[number];
export type Server = (typeof SERVERS)[number];
export type Part = "etcd" | "haproxy" | Node | Server;
export const PARTS: readonly Part[] = ["etcd", ...NODES, "haproxy", ...SERVERS];

/** In this order from the first port on. */
const PORTS = [
  ...["HTTP_PORT", "PRIMARY_PORT", "S1_PORT", "S2_PORT", "ETCD_PORT", "ETCD_PEER_PORT"],
  ...["N1_PORT", "N1_REST_PORT", "N2_PORT", "N2_REST_PORT", "N3_PORT", "N3_REST_PORT"],
] as const;
type Port = (typeof PORTS)[number];

export interface Layout {
  place: Place;
  /** Configuration, data and logs of all but the servers; whom they run as owns it. */
  directory: string;
  ports: Readonly<Record<string, number>>;
  superuserPassword: string;
  replicationPassword: string;
  /** The set-up login on the service's database, on the primary. */
  target: Target;
}

export async function layOut(root: string, log: (line: string) => void): Promise<Layout> {
  const place = await findPlace(root, log);
  if (!existsSync(place.cluster)) {
    await fs.mkdir(place.cluster, { mode: 0o700 });
    const { uid, gid } = place.account;
    if (uid !== undefined && gid !== undefined) await fs.chown(place.cluster, uid, gid);
  }
  const ports = await portsOf(root);
  const secret = (name: string) => password(join(root, `${name}.password`));
  const url = `postgres://shop:${await secret("shop")}@127.0.0.1:${ports["PRIMARY_PORT"]}/coupons?sslmode=disable`;
  return {
    place,
    directory: place.cluster,
    ports,
    superuserPassword: await secret("superuser"),
    replicationPassword: await secret("replication"),
    target: targetOf(url),
  };
}

export const portOf = (layout: Layout, part: Node | Server) => at(layout, `${part.toUpperCase()}_PORT`);
export const restPortOf = (layout: Layout, node: Node) => at(layout, `${node.toUpperCase()}_REST_PORT`);

/** Which ports a part listens on. */
export function portsOfPart(layout: Layout, part: Part): number[] {
  const names: Record<"etcd" | "haproxy", Port[]> = {
    etcd: ["ETCD_PORT", "ETCD_PEER_PORT"],
    haproxy: ["HTTP_PORT", "PRIMARY_PORT"],
  };
  if (part === "etcd" || part === "haproxy") return names[part].map((name) => at(layout, name));
  return isNode(part) ? [portOf(layout, part), restPortOf(layout, part)] : [portOf(layout, part)];
}

export const isNode = (part: Part): part is Node => (NODES as readonly Part[]).includes(part);

const at = ({ ports }: Layout, name: string) => ports[name] as number;

/** Below those that Linux gives to outgoing connections (32768), one of which could otherwise have taken a node's meanwhile. */
const [FIRST, BLOCKS, SIZE] = [20_000, 750, 16];

/** The ports of this cluster: chosen once, since etcd and Patroni keep them. Two clusters begin to look at different places. */
async function portsOf(root: string): Promise<Record<string, number>> {
  const file = join(root, "ports");
  const from = (first: number) => Object.fromEntries(PORTS.map((name, i) => [name, first + i]));
  const kept = Number(await readIfThere(file));
  if (kept) return from(kept);
  const start = Number.parseInt(nameOf(root), 16) % BLOCKS;
  for (let i = 0; i < BLOCKS; i++) {
    const first = FIRST + ((start + i) % BLOCKS) * SIZE;
    const ports = from(first);
    if ((await Promise.all(Object.values(ports).map(isFree))).every(Boolean)) {
      await fs.writeFile(file, `${first}\n`);
      return ports;
    }
  }
  throw new Error(`no ${PORTS.length} ports in a row are free on loopback from ${FIRST} on`);
}

export const isFree = async (port: number) => (await freePort(port)) === port;

/**
 * Writes a configuration file from the template of this folder. Every ${NAME} in it must be among `values`. It has passwords:
 * only its owner can read it.
 */
async function fill(
  template: string,
  file: string,
  values: Readonly<Record<string, string | number>>,
  { uid, gid }: Place["account"],
): Promise<void> {
  const text = await fs.readFile(fileURLToPath(new URL(template, import.meta.url)), "utf8");
  const filled = text.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${template} asks for ${name}`);
    return `${value}`;
  });
  await fs.writeFile(`${file}.part`, filled, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) await fs.chown(`${file}.part`, uid, gid);
  await fs.rename(`${file}.part`, file);
}

/** Writes the configuration of etcd, the nodes and HAProxy. */
export async function configure(layout: Layout, { bin }: Programs): Promise<void> {
  const { directory, ports, place } = layout;
  const values = {
    ...ports,
    // Within the quotes of YAML, which escapes as JSON does: a # or a colon in a path would end it.
    DIRECTORY: JSON.stringify(directory).slice(1, -1),
    BIN: bin,
    SUPERUSER_PASSWORD: layout.superuserPassword,
    REPLICATION_PASSWORD: layout.replicationPassword,
  };
  await fill("etcd.yml", join(directory, "etcd.yml"), values, place.account);
  await fill("haproxy.cfg", join(directory, "haproxy.cfg"), values, place.account);
  for (const node of NODES)
    await fill(
      "patroni.yml",
      join(directory, `${node}.yml`),
      { ...values, NODE: node, NODE_PORT: portOf(layout, node), REST_PORT: restPortOf(layout, node) },
      place.account,
    );
}

/** A value for Node's --env-file: without quotes it ends at a #, and loses blanks at its ends. No quote can be escaped there. */
export function quoted(text: string, name = "JWT_SECRET"): string {
  const quote = ["'", "`", '"'].find((each) => !text.includes(each));
  if (quote === undefined || (quote === '"' && text.includes("\\")))
    throw new Error(`${name} has quotes of each kind: choose one without`);
  return quote + text + quote;
}

/** The settings by which servers take the tokens of ./sd token. */
export interface Keys {
  JWT_SECRET: string;
  JWT_ISSUER?: string;
  JWT_AUDIENCE?: string;
  METRICS_TOKEN?: string | undefined;
}

/** Writes the configuration of the servers. */
export async function configureServers(layout: Layout, keys: Keys): Promise<void> {
  const { JWT_SECRET, JWT_ISSUER = "", JWT_AUDIENCE = "", METRICS_TOKEN = "" } = keys;
  const given = Object.entries({ JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE, METRICS_TOKEN });
  const values = {
    ...Object.fromEntries(given.map(([name, value]) => [name, quoted(value, name)])),
    API_DATABASE_URL: layout.target.as("coupon_api").url,
  };
  for (const server of SERVERS)
    await fill(
      "server.env",
      join(layout.place.root, `${server}.env`),
      { ...values, SERVER_PORT: portOf(layout, server) },
      {},
    );
}
