/** A PostgreSQL server on a new cluster with passwords, on loopback, of any programs. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { withConnection } from "../../db/connect.ts";
import { freePort } from "../../db/embedded/port.ts";
import { type Target, targetOf } from "../../db/target.ts";
import { atEnd } from "./cleanup.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface ClusterServer {
  /** The superuser, on database postgres. */
  target: Target;
  /** Its programs. */
  bin: string;
  /** Ends the server and removes its cluster, as cleanUp() does. */
  stop(): Promise<void>;
}

const BY_PASSWORD = ["host all all 127.0.0.1/32 scram-sha-256"];

/**
 * Starts the server whose initdb and postgres are in `bin`; `access` are the lines of its pg_hba.conf. It syncs to disk only if it is
 * durable, as figures need it.
 */
export async function startCluster(
  bin: string,
  access: readonly string[] = BY_PASSWORD,
  isDurable = false,
): Promise<ClusterServer> {
  const made = await initCluster(bin, access);
  const settings = [`fsync=${isDurable ? "on" : "off"}`, "max_connections=300"];
  const { target, end } = await launch(made, settings);
  const stop = atEnd(async () => {
    await end("SIGQUIT");
    await fs.rm(made.home, { recursive: true, force: true });
  });
  return { target, bin, stop };
}

/** A cluster that was made, and whose server does not run. */
export interface Made {
  bin: string;
  home: string;
  data: string;
  account: { uid: number; gid: number } | undefined;
}

/** Whom and what PostgreSQL's programs run as and see. */
const asOf = ({ account }: Pick<Made, "account">) => ({
  ...account,
  cwd: "/",
  env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
});

/** A new cluster, whose superuser is postgres with the password super. */
export async function initCluster(bin: string, access: readonly string[] = BY_PASSWORD): Promise<Made> {
  const account = await serverAccount();
  const home = await temporaryDirectory();
  const data = join(home, "data");
  await fs.writeFile(join(home, "password"), "super", { mode: 0o644 });
  if (account) await fs.chown(home, account.uid, account.gid);
  const login = ["-U", "postgres", `--pwfile=${home}/password`, "-A", "scram-sha-256"];
  const initdb = ["-D", data, ...login, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
  await promisify(execFile)(join(bin, "initdb"), initdb, asOf({ account }));
  await fs.writeFile(join(data, "pg_hba.conf"), `${access.join("\n")}\n`);
  return { bin, home, data, account };
}

export interface Running {
  /** The superuser, on database postgres. */
  target: Target;
  port: number;
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts its server, and returns when that answers; on another port than any in use, unless one is given. */
export async function launch(made: Made, settings: readonly string[], given?: number): Promise<Running> {
  for (let attempt = 1; ; attempt++) {
    const port = given ?? (await freePort());
    const all = [`port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories=", ...settings];
    const args = ["-D", made.data, ...all.flatMap((setting) => ["-c", setting])];
    const server = spawn(join(made.bin, "postgres"), args, { ...asOf(made), stdio: "ignore" });
    const end = atEnd(() => ended(server, "SIGQUIT"));
    const target = targetOf(`postgres://postgres:super@127.0.0.1:${port}/postgres`);
    if (await answers(server, target, made.data))
      return {
        target,
        port,
        async end(signal) {
          await ended(server, signal);
          await end();
        },
      };
    if (attempt === 5) throw new Error(`${made.bin}/postgres does not start in ${made.data}`);
  }
}

/** Whom PostgreSQL runs as, which refuses root. */
export async function serverAccount(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await fs.readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  const [, , uid, gid] = users.find(([name]) => name === "postgres" || name === "nobody") ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** Waits until the server answers, or has ended: somebody else took its port, maybe another one with the same password. */
async function answers(server: ChildProcess, target: Target, data: string): Promise<boolean> {
  for (; server.exitCode === null; await sleep(20)) {
    const isUp = await withConnection(
      target,
      (sql) => sql`select from current_setting('data_directory') directory where directory = ${data}`,
    ).then(
      ({ count }) => count === 1,
      () => false,
    );
    if (isUp) return true;
  }
  return false;
}

async function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = once(server, "exit");
  server.kill(signal);
  await exit;
}

const EXPLAINING = [
  "log_analyze",
  "log_format",
  "log_level",
  "log_min_duration",
  "log_nested_statements",
  "log_timing",
];

/**
 * Lets a login ask for the plans of its own statements, as sql/plans.test.ts does, and count calls of functions in its databases, as
 * ./sd bench servers and sql/use_claim.test.ts do. Without that it needs a superuser.
 */
export async function letMeasure(superuser: Target, login: string): Promise<void> {
  const settings = [...EXPLAINING.map((name) => `auto_explain.${name}`), "track_functions"].join();
  await withConnection(superuser, (sql) =>
    sql.unsafe(`
      alter role ${login} set session_preload_libraries = 'auto_explain';
      grant set on parameter ${settings} to ${login}`),
  );
}

/** Runs `work` with the URL of a login that is no superuser and may create roles and databases, as set-up wants it. */
export async function withLogin<T>(
  server: ClusterServer,
  work: (serverUrl: string) => Promise<T>,
): Promise<T> {
  try {
    return await work(await makeLogin(server.target));
  } finally {
    await server.stop();
  }
}

/** Makes such a login, and returns the server's URL with it. */
export async function makeLogin(superuser: Target): Promise<string> {
  // Long, since the fuzzer looks for it in answers, where a short one may stand by chance.
  const password = randomBytes(16).toString("hex");
  const login = `create role coupon_ci login createrole createdb password '${password}'`;
  await withConnection(superuser, (sql) => sql.unsafe(login));
  await letMeasure(superuser, "coupon_ci");
  return superuser.withLogin("coupon_ci", password).url;
}
