/**
 * Databases to throw away, for tests and benches: each a copy of one template that set-up made, which takes
 * milliseconds. They live on SCRATCH_SERVER_URL's server if that is given, else on an embedded one of ./sd test or ./sd bench.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, databaseUrl, roleUrl, type Sql, withConnection } from "./connect.ts";
import { setUp } from "./setup.ts";

export interface Scratch {
  /** As the set-up login; acts as coupon_owner with `set role`. */
  setupUrl: string;
  apiUrl: string;
  adminUrl: string;
  /** A pool as coupon_owner: the DBA who could do anything that constraints let them. */
  owner: Sql;
  /** A pool as coupon_admin. */
  admin: Sql;
  drop(): Promise<void>;
}

const TEMPLATE = "coupon_template";

/** Makes the template that scratchDatabase() copies, anew. */
export async function makeTemplate(serverUrl: string): Promise<void> {
  await withConnection(serverUrl, async (sql) => {
    await dropDatabase(sql, TEMPLATE);
    await sql.unsafe(`create database ${TEMPLATE} encoding 'UTF8' template template0`);
  });
  await setUp(databaseUrl(serverUrl, TEMPLATE));
}

/** Removes what makeTemplate() made, on a server that goes on. */
export async function dropTemplate(serverUrl: string): Promise<void> {
  await withConnection(serverUrl, (sql) => dropDatabase(sql, TEMPLATE));
}

/** A fresh database with no users and no coupons; `drop()` ends its sessions and removes it. */
export async function scratchDatabase(serverUrl = process.env["SCRATCH_SERVER_URL"]): Promise<Scratch> {
  if (!serverUrl) throw new Error("run this through ./sd: SCRATCH_SERVER_URL is not set");
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  const server = connect(serverUrl);
  await server.unsafe(`create database ${name} template ${TEMPLATE} strategy file_copy`);
  const setupUrl = databaseUrl(serverUrl, name);
  const owner = connect(setupUrl, { max: 4, role: "coupon_owner" });
  const adminUrl = roleUrl(setupUrl, "coupon_admin");
  const admin = connect(adminUrl, { max: 4 });
  return {
    setupUrl,
    apiUrl: roleUrl(setupUrl, "coupon_api"),
    adminUrl,
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

/** With its sessions. One of them may be autovacuum's, which is the superuser's and not ours to end: it ends by itself. */
async function dropDatabase(server: Sql, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await server.unsafe(`drop database if exists ${name} with (force)`);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "42501" || attempt === 50) throw error;
      await sleep(100);
    }
  }
}
