/** A disaster: the data is lost, and comes back from a backup. */
import { existsSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cluster } from "../cluster.ts";
import type { Fault } from "../fault.ts";
import { run } from "../processes.ts";
import { untilSeen } from "../seen.ts";
import { anotherPostmaster } from "./postgres.ts";

export const restores: readonly Fault[] = [
  {
    name: "restore",
    about:
      "PostgreSQL and its data are lost: a base backup that was taken under load and all WAL since are restored",
    seen: "another postmaster answers, and it has recovered from the backup",
    cluster: "plain",
    async strike({ cluster, hold }) {
      const { directory } = cluster;
      const copy = await backUp(cluster);
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

/** A base backup without WAL, beside the data; its directory. */
async function backUp({ directory, asSuperuser }: Cluster): Promise<string> {
  const copy = `${directory}.backup`;
  await asSuperuser(async (sql) => {
    await sql`select pg_backup_start('faults', fast => true)`;
    // Files come and go while it copies, which is allowed.
    await run("cp", ["-a", directory, copy]).catch(() => {});
    const [label] = await sql`select labelfile from pg_backup_stop()`;
    for (const file of ["postmaster.pid", "postmaster.opts", "pg_wal"])
      await rm(join(copy, file), { recursive: true, force: true });
    await writeFile(join(copy, "backup_label"), label?.["labelfile"]);
    await run("chown", [`--reference=${directory}`, join(copy, "backup_label")]);
  });
  return copy;
}
