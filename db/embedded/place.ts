/**
 * Where the cluster lives and whose it is. PostgreSQL refuses to run as root: for root it runs as the user `postgres` or
 * `nobody`, and when that user cannot reach the data directory (a checkout under /root) the cluster lives under
 * /var/lib/coupon-drop instead.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeDirectory } from "./files.ts";
import { type Account, run, succeeds } from "./run.ts";

/** `root` is the data directory's real path. `home` holds the cluster; it is `root` itself unless root needed the fallback. */
export type Place = { root: string; home: string; cluster: string; account: Account };

/** Where the cluster is. A cluster under /var/lib stays there, even if the data directory could be reached by now. */
export function existingPlace(root: string): { fallback: string; home: string; cluster: string } {
  const fallback = join("/var/lib/coupon-drop", nameOf(root));
  const home = isRoot() && existsSync(join(fallback, "postgres")) ? fallback : root;
  return { fallback, home, cluster: join(home, "postgres") };
}

/** Where the cluster is or is to be made, once the server's user can reach it. */
export async function findPlace(root: string, log: (line: string) => void): Promise<Place> {
  const { fallback, home, cluster } = existingPlace(root);
  if (!isRoot()) return { root, home, cluster, account: {} };
  // The server's user may pass through the directory, not list it.
  await fs.chmod(root, (await fs.stat(root)).mode | 0o011);
  const account = await serverAccount(cluster);
  if (await succeeds(run("/bin/sh", ["-c", 'cd -- "$1"', "sh", home], account))) {
    if (home === fallback) log(`PostgreSQL's data lives in ${home}`);
    return { root, home, cluster, account };
  }
  const who = `user ${account.uid}, which PostgreSQL runs as,`;
  if (existsSync(cluster)) throw new Error(`let ${who} pass the directories above ${cluster} again`);
  for (const directory of [dirname(fallback), fallback]) {
    await makeDirectory(directory);
    await fs.chmod(directory, 0o711);
  }
  log(`${who} cannot reach ${root}: its data lives in ${fallback}`);
  return { root, home: fallback, cluster: join(fallback, "postgres"), account };
}

/** A short name of a data directory, which no other one has. */
export function nameOf(root: string): string {
  return createHash("sha256").update(root).digest("hex").slice(0, 12);
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The owner of an existing cluster, else `postgres` or `nobody`, since initdb needs a user that /etc/passwd names. */
async function serverAccount(cluster: string): Promise<Account> {
  const owner = existsSync(cluster) ? await fs.stat(cluster) : undefined;
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const users = (await fs.readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of owner ? [] : ["postgres", "nobody"]) {
    const user = users.find((fields) => fields[0] === name);
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error(
    owner
      ? `PostgreSQL refuses to run as root, which owns ${cluster}: chown -R it to another user`
      : "PostgreSQL refuses to run as root: add a user `postgres`, or start as an ordinary user",
  );
}
