/** Debian's PgBouncer in front of a server, on loopback, with a configuration of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, chown, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../db/embedded/port.ts";
import { targetOf } from "../../db/target.ts";
import { atEnd } from "./cleanup.ts";
import { serverAccount } from "./cluster.ts";
import { temporaryDirectory } from "./temporary.ts";

const PROGRAM = "/usr/sbin/pgbouncer";

/** The options of a test that needs it. */
export const options = { skip: existsSync(PROGRAM) ? false : "needs pgbouncer" };

/** Starts it for the login of `url`, and returns the URL through it. `ignored` are startup parameters that it drops. */
export async function startPgBouncer(
  url: string,
  mode: "session" | "transaction",
  ignored = "",
): Promise<{ url: string; stop(): Promise<void> }> {
  const { login, password } = targetOf(url);
  const to = new URL(url);
  const home = await temporaryDirectory();
  const account = await serverAccount();
  const users = join(home, "users");
  await writeFile(users, `"${login}" "${password}"\n`);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const settings = [
      "[databases]",
      `* = host=${to.hostname} port=${to.port}`,
      "[pgbouncer]",
      ...["listen_addr = 127.0.0.1", `listen_port = ${port}`, "unix_socket_dir ="],
      ...["auth_type = plain", `auth_file = ${users}`, `pool_mode = ${mode}`, "default_pool_size = 21"],
      ...["max_client_conn = 100", "query_wait_timeout = 2", "server_login_retry = 1"],
      ...(ignored === "" ? [] : [`ignore_startup_parameters = ${ignored}`]),
    ];
    const file = join(home, "pgbouncer.ini");
    await writeFile(file, `${settings.join("\n")}\n`);
    await chmod(home, 0o755);
    if (account) for (const path of [home, users, file]) await chown(path, account.uid, account.gid);
    const bouncer = spawn(PROGRAM, ["-q", file], { ...account, cwd: "/", env: {}, stdio: "ignore" });
    const stop = atEnd(async () => {
      await ended(bouncer);
      await rm(home, { recursive: true, force: true });
    });
    if (await listens(bouncer, port)) {
      to.hostname = "127.0.0.1";
      to.port = `${port}`;
      return { url: to.href, stop };
    }
    if (attempt === 5) throw new Error(`pgbouncer does not start with ${file}`);
  }
}

async function listens(bouncer: ChildProcess, port: number): Promise<boolean> {
  for (; bouncer.exitCode === null; await sleep(20)) {
    const socket = connectTcp(port, "127.0.0.1");
    const isUp = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isUp) return true;
  }
  return false;
}

async function ended(bouncer: ChildProcess): Promise<void> {
  if (bouncer.exitCode !== null || bouncer.signalCode !== null) return;
  const exit = once(bouncer, "exit");
  bouncer.kill("SIGQUIT");
  await exit;
}
