/** dbmate, which applies the migrations that are pending. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { resolveBinary } from "dbmate";
import { NO_LIMIT, PLAIN_SETTINGS, type Sql } from "./connect.ts";
import { LOCK_MS, LockTimeout, migrationSession, type Patience } from "./patience.ts";
import type { Target } from "./target.ts";

/** Runs dbmate as coupon_owner, so that everything belongs to the role without login. `sql` is the set-up's session. */
export async function migrate(
  sql: Sql,
  target: Target,
  directory: string,
  pending: string[],
  patiently: Patience,
  log: (line: string) => void,
): Promise<void> {
  const texts = await Promise.all(pending.map((file) => readFile(join(directory, file), "utf8")));
  const [session] = await sql`
    select ssl, pid, current_setting('transaction_timeout', true) is not null as limits_transactions
    from pg_stat_ssl
    where pid = pg_backend_pid()
  `;
  const url = target.migrationUrl(session?.["ssl"] === true, {
    ...PLAIN_SETTINGS,
    ...NO_LIMIT,
    ...(session?.["limits_transactions"] ? { transaction_timeout: "0" } : {}),
    role: "coupon_owner",
    application_name: migrationSession(session?.["pid"]),
    // Whoever issues waits behind a migration that waits for a lock, so it must not wait for long. But an index that is made
    // concurrently keeps nobody waiting, and is left invalid when it is given up.
    ...(texts.some((text) => text.includes("transaction:false")) ? {} : { lock_timeout: `${LOCK_MS}` }),
  });
  await patiently("migrations", () => runDbmate(url, directory, log));
}

async function runDbmate(databaseUrl: string, directory: string, log: (line: string) => void): Promise<void> {
  const args = [
    // It runs in that directory: it splits --migrations-dir at commas, and reads a .env where it runs.
    ["--migrations-dir", "."],
    ["--migrations-table", "coupon.schema_migrations"],
    ["--no-dump-schema", "up", "--strict"],
  ].flat();
  const begun = (stdout: string) =>
    [...stdout.matchAll(/^Applying: (.+)$/gm)].map(([, file]) => file as string);
  try {
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith("DBMATE_"));
    // In the environment, because everyone can read a command line.
    const env = { ...Object.fromEntries(others), DATABASE_URL: databaseUrl };
    const running = promisify(execFile)(resolveBinary(), args, { env, cwd: directory });
    // A signal that ends a command ends this with it: it would migrate beside the next one, whose turn it is then.
    const end = () => void running.child.kill();
    process.once("exit", end);
    const { stdout } = await running.finally(() => process.off("exit", end));
    for (const file of begun(stdout)) log(`migrated ${file}`);
  } catch (error) {
    const { stderr, stdout, message } = error as { stderr?: string; stdout?: string; message: string };
    const files = begun(stdout ?? "");
    const file = files.pop();
    for (const done of files) log(`migrated ${done}`);
    // "Error: line: 3, column: 1, position: 54: pq: syntax error … at position 3:1 (42601)"
    const [, line, reason = ""] =
      (stderr || message).trim().match(/^(?:Error: )?(?:line: (\d+), .*? pq: )?(?:pq: )?(.*)$/s) ?? [];
    if (reason.endsWith("(55P03)"))
      throw new LockTimeout(file ? `db/migrations/${file}` : "migrations", error);
    const where = file ? `db/migrations/${file}${line ? `:${line}` : ""}` : "dbmate failed";
    throw new Error(`${where}: ${reason.replace(/ at (position|column) [\d:]+(?= \(\w{5}\)$)/, "")}`, {
      cause: error,
    });
  }
}
