/** Debian's PostgreSQL with the archive and the base backups that db/README.md describes. */
import { execFile } from "node:child_process";
import { chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { withConnection } from "../../db/connect.ts";
import { atEnd } from "./cleanup.ts";
import { serverAccount } from "./cluster.ts";
import { bin, startDebian } from "./debian.ts";
import { readCode } from "./readme-blocks.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The commands of db/README.md between these marks. */
export const commands = (name: string) => readCode(new URL("../../db/README.md", import.meta.url), name);

/** A server whose WAL is archived, as db/README.md says, and its operator's shell. */
export async function archivingServer() {
  const { target: superuser } = await startDebian([
    "host all all 127.0.0.1/32 scram-sha-256",
    "host replication all 127.0.0.1/32 scram-sha-256",
  ]);
  const account = await serverAccount();
  const backup = await temporaryDirectory();
  const parts = ["base", "wal"].map((name) => join(backup, name));
  for (const part of parts) await mkdir(part);
  if (account) for (const path of [backup, ...parts]) await chown(path, account.uid, account.gid);
  const { port } = new URL(superuser.url);
  const said = await withConnection(superuser, async (sql) => {
    for (const statement of [
      // What its own command line has said so far.
      ...[`port = ${port}`, "listen_addresses = '127.0.0.1'", `unix_socket_directories = '${backup}'`].map(
        (setting) => `alter system set ${setting}`,
      ),
      ...["fsync = off", "max_connections = 300"].map((setting) => `alter system set ${setting}`),
      ...commands("archive").replaceAll("$BACKUP", backup).trim().split("\n"),
      ...commands("prepare").replace("…", "secret").trim().split("\n"),
    ])
      await sql.unsafe(statement);
    return sql`show data_directory`;
  });
  const target = superuser.withLogin("shop", "secret").on("coupons");
  const variables = {
    PATH: `${bin}:${process.env["PATH"]}`,
    LC_ALL: "C",
    PGDATA: said[0]?.["data_directory"] as string,
    BACKUP: backup,
    REPLICATION_URL: superuser.url,
    DATABASE_URL: target.url,
  };
  const operate = (script: string, more: Record<string, string> = {}) =>
    promisify(execFile)("sh", ["-c", script], { ...account, cwd: "/", env: { ...variables, ...more } });
  atEnd(() => operate("! pg_ctl status || pg_ctl stop --mode=immediate"));
  await operate('pg_ctl stop --mode=fast && pg_ctl start --log="$PGDATA/first.log"');
  // As base backups of a cluster have it. This server does not read it before it is restored.
  await withConnection(superuser, (sql) => sql`alter system set synchronous_standby_names = 'gone'`);
  return { target, operate, backup };
}
