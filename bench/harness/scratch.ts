/**
 * Databases to throw away, for tests and benches: each a copy of one template that set-up made, which takes
 * milliseconds. They live on SCRATCH_SERVER_URL's server if that is given, else on an embedded one
 * of ./sd test, bench, faults and fuzz.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, explained, type Sql, withConnection } from "../../db/connect.ts";
import { startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { setUp } from "../../db/setup.ts";
import { type Target, targetOf } from "../../db/target.ts";
import { letMeasure } from "./cluster.ts";

export interface Scratch {
  /** As the set-up login, which may act as coupon_owner with `set role`. The URLs are of the same database. */
  target: Target;
  setupUrl: string;
  apiUrl: string;
  adminUrl: string;
  /** A pool as coupon_owner: the DBA who could do anything that constraints let them. */
  owner: Sql;
  /** A pool as coupon_admin. */
  admin: Sql;
  drop(): Promise<void>;
}

/** Each run of ./sd has its own, since the next one may have other functions. */
const TEMPLATE = process.env["SCRATCH_TEMPLATE"] ?? `coupon_template_${randomBytes(6).toString("hex")}`;

/**
 * The locale of the databases: SCRATCH_LOCALE, "icu:tr-TR" (which needs no locale of the system) or "libc:tr_TR.UTF-8"; else that of the
 * server.
 */
function localeOf(given = process.env["SCRATCH_LOCALE"]): string {
  const [provider, locale] = given?.split(":") ?? [];
  if (provider === undefined) return "";
  if (locale === undefined || !/^[\w.-]+$/.test(locale))
    throw new Error("SCRATCH_LOCALE must be such as icu:tr-TR or libc:tr_TR.UTF-8");
  if (provider === "icu") return `locale_provider icu icu_locale '${locale}' locale 'C'`;
  return `locale_provider libc locale '${locale}'`;
}

/** Makes the template that scratchDatabase() copies, anew. */
export async function makeTemplate(serverUrl: string): Promise<void> {
  await withConnection(serverUrl, async (sql) => {
    await dropDatabase(sql, TEMPLATE);
    await sql.unsafe(`create database ${TEMPLATE} encoding 'UTF8' ${localeOf()} template template0`);
  });
  await setUp(targetOf(serverUrl).on(TEMPLATE));
}

/** Runs `work` with the environment that scratchDatabase() needs, on a server that this does not stop. */
export async function withTemplate<T>(
  serverUrl: string,
  work: (environment: Record<string, string>) => Promise<T>,
): Promise<T> {
  try {
    await makeTemplate(serverUrl);
    return await work({ SCRATCH_SERVER_URL: serverUrl, SCRATCH_TEMPLATE: TEMPLATE });
  } finally {
    await withConnection(serverUrl, (sql) => dropDatabase(sql, TEMPLATE));
  }
}

/** Every run on the shared server holds this lock in shared mode. Nothing else uses this number in the first database. */
const RUNS_LOCK = "4850179452613154";

/**
 * Runs `work` with the embedded server of `dataDir`, which all runs at the same time share; the last one out stops it. It syncs to disk as
 * soon as a run is durable, and not for tests alone: a database of four hundred files, which are each synced, is made for almost every test.
 */
export async function withSharedServer<T>(
  dataDir: string,
  isDurable: boolean,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const { url, session } = await enter(dataDir, isDurable);
  try {
    return await work(url);
  } finally {
    // If asking fails, the server is gone, and this run counts as the last one.
    if (await isLast(session).catch(() => true)) {
      await dropLeft(session).catch(() => {});
      await stopEmbedded({ dataDir });
    }
    await session.end({ timeout: 1 });
  }
}

async function enter(dataDir: string, isDurable: boolean): Promise<{ url: string; session: Sql }> {
  for (let attempt = 1; ; attempt++) {
    const { url, started } = await startEmbedded({ dataDir });
    const session = connect(url);
    try {
      const password = await readFile(join(dataDir, "superuser.password"), "utf8");
      const superuser = targetOf(url).withLogin("postgres", password);
      await letMeasure(superuser, targetOf(url).login);
      // Whoever finds it running leaves it as durable as somebody may need it.
      if (isDurable || started) await setSync(superuser, isDurable);
      await session`select pg_advisory_lock_shared(${RUNS_LOCK}::bigint)`;
      return { url, session };
    } catch (error) {
      await session.end({ timeout: 1 });
      // The last run before this one has stopped the server meanwhile.
      if (attempt === 5) throw explained(error, url);
    }
  }
}

async function setSync(superuser: Target, isOn: boolean): Promise<void> {
  await withConnection(superuser, async (sql) => {
    await sql.unsafe(`alter system set fsync = ${isOn ? "on" : "off"}`);
    await sql`select pg_reload_conf()`;
  });
}

/**
 * Releases its lock first and then tries to get it alone, so that of two runs which end at the same time one succeeds. A run that begins
 * now waits until the server has stopped.
 */
async function isLast(session: Sql): Promise<boolean> {
  await session`select pg_advisory_unlock_shared(${RUNS_LOCK}::bigint)`;
  const [row] = await session`select pg_try_advisory_lock(${RUNS_LOCK}::bigint) as is_last`;
  return row?.["is_last"];
}

/** Databases of runs that a signal has ended: each is 10 MB, and nobody uses them. */
async function dropLeft(session: Sql): Promise<void> {
  const left = await session`select datname from pg_database where datname ~ '^coupon_(scratch|template)_'`;
  for (const { datname } of left) await dropDatabase(session, datname);
}

/** By URL. Passwords of roles are derived once for each, which takes its time. */
const servers = new Map<string, Target>();

/** A fresh database with no users and no coupons; `drop()` ends its sessions and removes it. */
export async function scratchDatabase(serverUrl = process.env["SCRATCH_SERVER_URL"]): Promise<Scratch> {
  if (!serverUrl) throw new Error("run this through ./sd: SCRATCH_SERVER_URL is not set");
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  const server = connect(serverUrl);
  await server.unsafe(`create database ${name} template ${TEMPLATE} strategy file_copy`);
  const known = servers.get(serverUrl) ?? targetOf(serverUrl);
  servers.set(serverUrl, known);
  const [target, api, asAdmin] = [known, known.as("coupon_api"), known.as("coupon_admin")].map((each) =>
    each.on(name),
  ) as [Target, Target, Target];
  const owner = connect(target, { max: 4, role: "coupon_owner" });
  const admin = connect(asAdmin, { max: 4 });
  return {
    target,
    setupUrl: target.url,
    apiUrl: api.url,
    adminUrl: asAdmin.url,
    owner,
    admin,
    async drop() {
      await Promise.all([owner.end({ timeout: 1 }), admin.end({ timeout: 1 })]);
      try {
        await dropDatabase(server, name);
      } finally {
        await server.end({ timeout: 1 });
      }
    },
  };
}

/**
 * Ends its sessions too. One may be autovacuum's, which only a superuser may end: with force PostgreSQL refuses then, and without force it
 * ends autovacuum's and refuses where there are others. So it is asked in both ways by turns.
 */
export async function dropDatabase(server: Sql, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const how = attempt % 2 === 1 ? "with (force)" : "";
    try {
      await server.unsafe(`drop database if exists ${name} ${how}`);
      return;
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (!["42501", "55006"].includes(code) || attempt === 10) throw error;
    }
  }
}
