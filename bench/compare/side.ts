/**
 * One of the two that are compared: a revision with dependencies, a PostgreSQL, a database and a server of its own. Only what
 * every revision has is used: `./sd setup` with DATABASE_URL, server/main.ts with API_DATABASE_URL, and the names of two
 * functions and of the schema. Roles and their settings belong to a whole PostgreSQL, hence one each.
 */
import { execFile, spawn } from "node:child_process";
import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect, type Sql, withConnection } from "../../db/connect.ts";
import { removeEmbedded, startEmbedded } from "../../db/embedded/embedded.ts";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { atEnd } from "../harness/cleanup.ts";
import { hasProc, parentOf, type Snapshot, snapshot } from "../harness/cpu.ts";
import { newSecret } from "../harness/service.ts";
import { BESIDE, type BesideName, type Later } from "./beside.ts";

const run = promisify(execFile);

/** Runs a program, which a signal ends before anything is removed: it must not write where nothing is to be left. */
function runUnlessEnded(
  file: string,
  args: string[],
  how: { cwd?: string; env?: Record<string, string> } = {},
) {
  const running = run(file, args, how);
  const end = atEnd(async () => {
    running.child.kill();
    await running.catch(() => {});
  });
  return running.finally(end);
}

export const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

export interface Side {
  name: string;
  url: string;
  setupUrl: string;
  /** As the owner of the tables. */
  owner: Sql;
  /** The login of the server, by which its backends are known. */
  login: string;
  /** Begins what stands beside it during a volley. */
  beside: readonly ((later: Later) => Promise<void>)[];
  /** What its processes have used so far; nothing where the system has no /proc. */
  cpu(): Promise<{ server: Snapshot; postgresql: Snapshot }>;
}

/** What is compared: a checkout, and what stands beside it. */
export interface Contender {
  name: string;
  project: string;
  beside: readonly BesideName[];
}

/** A commit's short name and subject; throws one sentence when there is none of that name. */
export async function describeRevision(revision: string): Promise<{ commit: string; subject: string }> {
  const git = async (...args: string[]) => (await run("git", ["-C", CHECKOUT, ...args])).stdout.trim();
  const commit = await git("rev-parse", "--verify", "--quiet", "--short", `${revision}^{commit}`).catch(
    () => {
      throw new Error(`git knows no revision ${revision} here`);
    },
  );
  return { commit, subject: await git("log", "-1", "--format=%s", commit) };
}

/** A checkout of `commit` in `directory`, with the dependencies that its lock file names. */
export async function checkOut(commit: string, directory: string, later: Later): Promise<string> {
  const worktree = ["-C", CHECKOUT, "worktree"];
  later(
    atEnd(async () => {
      await run("git", [...worktree, "remove", "--force", "--force", directory]).catch(() => {});
      await rm(directory, { recursive: true, force: true });
      await run("git", [...worktree, "prune"]);
    }),
  );
  await runUnlessEnded("git", [...worktree, "add", "--detach", directory, commit]);
  // The project may lie below the root of the repository.
  const { stdout: prefix } = await run("git", ["-C", CHECKOUT, "rev-parse", "--show-prefix"]);
  const project = join(directory, prefix.trim());
  await copyDependencies(project);
  return project;
}

/** Begins with our dependencies: `./sd` installs what the lock file names otherwise. They are hard links only if the lock file is the same. */
async function copyDependencies(project: string): Promise<void> {
  const [from, to] = [join(CHECKOUT, "node_modules"), join(project, "node_modules")];
  const locks = await Promise.all(
    [CHECKOUT, project].map((path) => readFile(join(path, "package-lock.json"))),
  );
  const isSame = (locks[0] as Buffer).equals(locks[1] as Buffer);
  if (
    isSame &&
    (await runUnlessEnded("cp", ["-al", from, to]).then(
      () => true,
      () => false,
    ))
  )
    return;
  await rm(to, { recursive: true, force: true });
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
}

/** Sets up and starts what `project` holds. Its data lie in `directory`. */
export async function startSide(
  { name, project, beside }: Contender,
  directory: string,
  secret: string,
  later: Later,
): Promise<Side> {
  await mkdir(directory);
  later(atEnd(() => removeEmbedded({ dataDir: directory })));
  const { url: setupUrl } = await startEmbedded({ dataDir: directory });
  await setUp(project, setupUrl);
  const { ownerRole, login, apiUrl } = await prepareLogins(setupUrl);
  const owner = connect(setupUrl, { role: ownerRole });
  later(() => owner.end({ timeout: 1 }));
  // An older revision may not know the setting.
  const settings = beside.includes("webhook") ? { WEBHOOKS_ALLOW_PRIVATE: "on" } : {};
  const { url, pid } = await startServer(project, { API_DATABASE_URL: apiUrl, ...settings }, secret, later);
  const [session] = await owner`select pg_backend_pid() as pid`;
  const postmaster = hasProc ? await parentOf(session?.["pid"]) : 0;
  return {
    name,
    url,
    setupUrl,
    owner,
    login,
    beside: beside.map((each) => (later) => BESIDE[each]({ owner, url }, secret, later)),
    async cpu() {
      if (!hasProc) return { server: new Map(), postgresql: new Map() };
      return { server: await snapshot(pid), postgresql: await snapshot(postmaster) };
    },
  };
}

/** What a child gets of our environment: what finds programs and packages, and no setting of the service. */
function environment(): Record<string, string> {
  const kept =
    /^(PATH|HOME|TMPDIR|LANG|npm_config_.*|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i;
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => kept.test(entry[0])),
  );
}

async function setUp(project: string, setupUrl: string): Promise<void> {
  const env = { ...environment(), DATABASE_URL: setupUrl, SEED: "off", ENV_FILE: "" };
  try {
    await runUnlessEnded("./sd", ["setup"], { cwd: project, env });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`./sd setup failed in ${project}:\n${stdout ?? ""}${stderr ?? error}`);
  }
}

/** The role that owns the tables, and the server's login with a password that we know: each found by what it may do. */
function prepareLogins(setupUrl: string): Promise<{ ownerRole: string; login: string; apiUrl: string }> {
  return withConnection(setupUrl, async (sql) => {
    const [found] = await sql`
      select pg_get_userbyid(n.nspowner) as owner, r.rolname as login
      from pg_namespace n, pg_roles r
      where n.nspname = 'coupon' and r.rolcanlogin and r.rolname like '%api'
    `;
    if (!found) throw new Error("set-up made no login for the server");
    const url = new URL(setupUrl);
    url.username = found["login"];
    url.password = newSecret();
    // The password is hexadecimal: nothing to quote.
    await sql.unsafe(`alter role "${found["login"]}" password '${url.password}'`);
    return { ownerRole: found["owner"], login: found["login"], apiUrl: url.href };
  });
}

async function startServer(
  project: string,
  settings: Record<string, string>,
  secret: string,
  later: Later,
): Promise<{ url: string; pid: number }> {
  const { WORKERS } = process.env;
  const child = spawn(process.execPath, [...TYPESCRIPT, "server/main.ts"], {
    cwd: project,
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...environment(),
      ...settings,
      JWT_SECRET: secret,
      HOST: "127.0.0.1",
      PORT: "0",
      ...(WORKERS ? { WORKERS } : {}),
    },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  later(
    atEnd(async () => {
      child.kill("SIGTERM");
      await ended;
    }),
  );
  const url = await new Promise<string>((resolve, reject) => {
    void ended.then(() => reject(new Error(`the server of ${project} ended before it listened`)));
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      // Whatever the rest of its log looks like.
      const [address] = line.match(/http:\/\/127\.0\.0\.1:\d+/) ?? [];
      if (address === undefined) return;
      lines.close();
      child.stdout.resume(); // so that it never blocks
      resolve(address);
    });
  });
  return { url, pid: child.pid as number };
}
