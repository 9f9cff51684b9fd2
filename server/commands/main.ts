/** The commands of ./sd that need the database: see `./sd help`. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { roleUrl, withConnection } from "../../db/connect.ts";
import { embeddedStatus, removeEmbedded, startEmbedded, stopEmbedded } from "../../db/embedded.ts";
import { describe, isNothing, pendingOf } from "../../db/pending.ts";
import { type Logins, refuseUnknown, setUp } from "../../db/setup.ts";
import { signToken } from "../auth/auth.ts";
import { tokenSecret } from "../auth/secret.ts";
import { type Env, readEnv } from "../env.ts";
import { seed } from "./seed.ts";
import { exitOf, heedSignals, Interrupted, untilSignal } from "./signals.ts";
import { status } from "./status.ts";

const say = (line: string) => console.log(line);
/** A line of a table without lines. */
const entry = (name: string, words: string) => say(`${name.padEnd(11)} ${words}`.trimEnd());

/** The database of the environment: DATABASE_URL, or else the embedded one, started if need be. */
async function openDatabase(env: Env): Promise<{ url: string; started: boolean; isEmbedded: boolean }> {
  if (env.DATABASE_URL) return { url: env.DATABASE_URL, started: false, isEmbedded: false };
  const { url, started } = await startEmbedded({ dataDir: env.DATA_DIR, log: say });
  return { url, started, isEmbedded: true };
}

/** Runs `work` with the database, and leaves it running or stopped as it was, also at Ctrl-C. */
async function withDatabase<T>(env: Env, work: (url: string, isEmbedded: boolean) => Promise<T>): Promise<T> {
  heedSignals();
  const { url, started, isEmbedded } = await openDatabase(env);
  try {
    return await untilSignal(() => work(url, isEmbedded));
  } finally {
    if (started) await stopEmbedded({ dataDir: env.DATA_DIR });
  }
}

/** Makes everything ready and says how long it took; the demo only where there is to be one. */
async function prepare(env: Env, url: string): Promise<Logins> {
  const began = performance.now();
  const logins = await setUp(url, (step) => say(`  ${step}`));
  if (env.SEED === "demo") {
    const made = await withConnection(logins.adminUrl, (sql) => seed(sql, (line) => say(`  ${line}`)));
    if (made.users + made.coupons > 0) say(`  seeded ${made.users} users, ${made.coupons} coupons`);
  }
  await tokenSecret(env);
  say(`set up in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return logins;
}

/** What to try next; every line works when pasted. */
async function suggest(env: Env, adminUrl: string): Promise<void> {
  const [coupon] = await withConnection(
    adminUrl,
    (sql) => sql`
      select c.coupon_id, c.code
      from live_coupons() c
      where not c.paused
      order by c.sold_out, c.start_time desc
      limit 1
    `,
  );
  if (!coupon) return say("\nno coupon is live: see `./sd psql` and create_coupon()");
  if (env.JWT_PUBLIC_KEY || env.JWT_JWKS_URL)
    return say("\ntokens are signed elsewhere: JWT_PUBLIC_KEY or JWT_JWKS_URL is set");
  const token = await signToken(await tokenSecret(env), env, { role: "user", subject: "42" });
  const base = `http://localhost:${env.PORT}`;
  say(`
try it, as user 42 and coupon ${coupon["code"]}:

  curl -sX POST ${base}/coupons/${coupon["coupon_id"]}/issue -H 'authorization: Bearer ${token}'

  curl -s ${base}/coupons/live -H "authorization: Bearer $(./sd token --user 42)"

  ./sd psql -c 'select * from issue_coupon(user_id => 43, coupon_id => ${coupon["coupon_id"]})'

or in a browser: ${base}/ (the shop, and /#operate for operators), ${base}/docs (the API)
`);
}

/** Set-up, the server as a process of its own, and at its end the database, if it was started for it. */
async function start(env: Env): Promise<number> {
  if (env.API_DATABASE_URL && !env.DATABASE_URL) {
    say("API_DATABASE_URL without DATABASE_URL: set-up is done elsewhere, serving only");
    return serve(env, env.API_DATABASE_URL);
  }
  return withDatabase(env, async (url, isEmbedded) => {
    if (isEmbedded)
      say(
        "embedded PostgreSQL, on loopback: for trying out, developing and testing. Production: DATABASE_URL",
      );
    const { apiUrl, adminUrl } = await prepare(env, url);
    await suggest(env, adminUrl);
    return serve(env, env.API_DATABASE_URL ?? apiUrl);
  });
}

async function serve(env: Env, apiUrl: string): Promise<number> {
  const given = await serverEnvironment(env, apiUrl);
  return exitOf(process.execPath, ["--import", "tsx", "server/main.ts"], { env: given });
}

/** What the server is given: its own login, and never the set-up's. */
async function serverEnvironment(env: Env, apiUrl: string): Promise<NodeJS.ProcessEnv> {
  const { DATABASE_URL: _, ...rest } = process.env;
  const secret = env.JWT_PUBLIC_KEY || env.JWT_JWKS_URL ? {} : { JWT_SECRET: await tokenSecret(env) };
  // A secret of somebody's own is a sign of a real service: there it takes a word to hand tokens out.
  const isDemo = env.SEED === "demo" && "JWT_SECRET" in secret && env.JWT_SECRET === undefined;
  const demo = { DEMO: env.DEMO ?? (isDemo ? "loopback" : "off") };
  return { ...rest, API_DATABASE_URL: apiUrl, ...secret, ...demo };
}

/** Set-up without the demo and without serving: what a release needs before its servers start. */
async function migrate(env: Env, args: string[]): Promise<number> {
  const [flag, ...more] = args;
  if (more.length > 0 || (flag !== undefined && flag !== "--dry-run"))
    throw new Error("usage: ./sd migrate [--dry-run]");
  if (flag === undefined)
    return withDatabase(env, async (url) => {
      await prepare({ ...env, SEED: "off" }, url);
      return 0;
    });
  if (!env.DATABASE_URL && (await embeddedStatus({ dataDir: env.DATA_DIR })).version === undefined) {
    say("database    embedded, not made yet: ./sd migrate makes it");
    return 0;
  }
  return withDatabase(env, async (url) => {
    const pending = await pendingOf(url);
    refuseUnknown(pending.unknown);
    for (const [part, words] of Object.entries(describe(pending))) entry(part, words);
    say(isNothing(pending) ? "nothing to do" : "nothing was changed: this was a dry run");
    return 0;
  });
}

async function psql(env: Env, args: string[]): Promise<number> {
  return withDatabase(env, async (url) => {
    const { username, password, hostname, port, pathname, searchParams } = new URL(
      roleUrl(url, "coupon_admin"),
    );
    const given = {
      ...process.env,
      PGHOST: hostname.replace(/^\[|\]$/g, "") || "localhost", // an IPv6 address stands in brackets
      PGPORT: port || "5432",
      PGUSER: username,
      // In the environment, because everyone can read a command line.
      PGPASSWORD: password,
      PGDATABASE: decodeURIComponent(pathname.slice(1)),
      PGSSLMODE: searchParams.get("sslmode") ?? "prefer",
      PGAPPNAME: "coupon-psql",
    };
    try {
      // Ctrl-C reaches psql from the terminal, and cancels a statement there.
      return await exitOf("psql", ["--pset=expanded=auto", "--pset=format=wrapped", ...args], {
        env: given,
        ignored: "SIGINT",
      });
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      throw new Error(
        "psql is not on this machine: install it (Debian: apt-get install postgresql-client, macOS: brew install libpq), " +
          "or use ./sd sql 'select …'",
      );
    }
  });
}

/** Runs one statement as coupon_admin and prints its rows: psql's little brother. */
async function runSql(env: Env, args: string[]): Promise<number> {
  const [statement, ...more] = args;
  if (!statement || more.length > 0)
    throw new Error('give one statement: ./sd sql "select * from live_coupons()"');
  // By the extended protocol PostgreSQL itself refuses several: the driver knows `simple`, its types don't.
  const one = { prepare: false, simple: false };
  await withDatabase(env, (url) =>
    withConnection(roleUrl(url, "coupon_admin"), async (sql) => {
      const rows = await sql.unsafe(statement, [], one).values();
      const names: string[] = (rows.columns ?? []).map((column) => column.name);
      printTable(names, rows as unknown as unknown[][]);
    }),
  );
  return 0;
}

function printTable(names: string[], rows: unknown[][]): void {
  const text = (value: unknown) =>
    value === null
      ? ""
      : value instanceof Date
        ? value.toISOString()
        : typeof value === "object"
          ? JSON.stringify(value)
          : String(value);
  const cells = rows.map((row) => row.map(text));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: string[]) =>
    row
      .map((cell, i) => ` ${cell.padEnd(widths[i] ?? 0)} `)
      .join("|")
      .trimEnd();
  if (names.length > 0) {
    say(line(names));
    say(widths.map((width) => "-".repeat(width + 2)).join("+"));
    for (const row of cells) say(line(row));
  }
  say(`(${rows.length} ${rows.length === 1 ? "row" : "rows"})`);
}

/** Compares every row with every rule. */
async function check(env: Env): Promise<number> {
  return withDatabase(env, (url) =>
    withConnection(roleUrl(url, "coupon_admin"), async (sql) => {
      const broken = await sql`select invariant, coupon_id, user_id, detail from reconcile()`;
      const [size] = await sql`
        select (select count(*) from coupon.coupons) as coupons, (select count(*) from coupon.user_coupons) as grants`;
      for (const row of broken)
        say(
          `${row["invariant"]}: coupon ${row["coupon_id"] ?? "-"}, user ${row["user_id"] ?? "-"}: ${row["detail"]}`,
        );
      say(
        `${broken.length} broken invariants in ${size?.["coupons"]} coupons and ${size?.["grants"]} grants`,
      );
      return broken.length === 0 ? 0 : 1;
    }),
  );
}

async function reset(env: Env, args: string[]): Promise<number> {
  if (env.DATABASE_URL)
    throw new Error("DATABASE_URL is set, and ./sd reset removes only the embedded database");
  if (!args.includes("--yes")) {
    const ask = createInterface({ input: process.stdin, output: process.stdout });
    // The end of the input is no yes.
    const closed = new Promise<string>((resolve) => void ask.once("close", () => resolve("")));
    const asked = ask.question(`remove the database and all that ./sd keeps in ${env.DATA_DIR}? Type yes: `);
    const answer = await Promise.race([asked, closed]).finally(() => ask.close());
    if (answer.trim() !== "yes") {
      say("nothing was removed");
      return 1;
    }
  }
  await removeEmbedded({ dataDir: join(env.DATA_DIR, "scratch") });
  await rm(join(env.DATA_DIR, "token.secret"), { force: true });
  await removeEmbedded({ dataDir: env.DATA_DIR });
  say(`removed the database in ${env.DATA_DIR}`);
  return 0;
}

const commands: Record<string, (env: Env, args: string[]) => Promise<number>> = {
  async setup(env) {
    const { url, started } = await openDatabase(env);
    const { adminUrl } = await prepare(env, url);
    await suggest(env, adminUrl);
    if (started) say("the database runs until ./sd stop; ./sd start serves");
    return 0;
  },
  start,
  migrate,
  async stop(env) {
    say(
      (await stopEmbedded({ dataDir: env.DATA_DIR }))
        ? "stopped the embedded PostgreSQL"
        : "nothing was running",
    );
    return 0;
  },
  psql,
  sql: runSql,
  check,
  async status(env) {
    await status(env, entry);
    return 0;
  },
  reset,
};

const [name = "", ...args] = process.argv.slice(2);
try {
  const command = commands[name];
  if (!command) throw new Error(`no such command: ${name}`);
  process.exitCode = await command(readEnv(), args);
} catch (error) {
  // What was at work is left where it is.
  if (error instanceof Interrupted) process.exit(error.status);
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 1;
}
