/** Plants drifts in a database, for the doctor's tests: what it says of each, and that this mends it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after } from "node:test";
import { catalogueOf } from "../../db/catalogue.ts";
import { connect, type Sql } from "../../db/connect.ts";
import { type Finding, findings, mendingOf, restOf, wantedCatalogue } from "../../db/doctor.ts";
import { runFile, runManifest } from "../../db/functions.ts";
import { SOURCES, setUp } from "../../db/setup.ts";
import { scratchDatabase } from "./scratch.ts";

/** What is done to the database by coupon_owner, and what is said of it. */
type Drift = [done: string, ...said: string[]];

/** What the server opens, say. */
const CONNECTIONS = 20;

/** No statement undoes these. */
const LASTING =
  /add (value|attribute)|rename value|alter name type|comment on role|drop (table|column|expression|identity)/;

/** What an operator does who was told this. */
async function mend(sql: Sql, { what, todo }: Finding): Promise<void> {
  for (const part of todo.replace(/^if [^:]+: /, "").split(/; (?=drop|alter|create|\.)/i)) {
    const file = /^run its statement in db\/migrations\/(.+)$/.exec(part)?.[1];
    const name = /^function ([\w.]+)/.exec(what)?.[1];
    if (file !== undefined) {
      const text = await readFile(join(SOURCES.migrations, file), "utf8");
      const [statement = ""] =
        new RegExp(`create function ${name?.replace(".", "\\.")}\\([^]*?(\\n\\$\\$;|position;)`).exec(text) ??
        [];
      await sql.unsafe(statement.replace("create function", "create or replace function")).simple();
    } else if (part === "./sd migrate") {
      await runFile(sql, SOURCES.functions, "roles.sql");
      await sql`set local role coupon_owner`;
      await runManifest(sql, SOURCES.functions);
      await sql`reset role`;
    } else await sql.unsafe(part).simple();
  }
}

/** A database that was just set up, and what the doctor finds there. It is dropped after the tests of the file. */
export async function openDrifts() {
  const scratch = await scratchDatabase();
  after(scratch.drop);
  const { target } = scratch;
  await setUp(target); // a copy of a database has lost the roles' rights on the database itself
  const sql = connect(target);
  after(() => sql.end());

  /** Runs `work` and undoes it. */
  async function undone<T>(work: () => Promise<T>): Promise<T> {
    await sql`begin`;
    try {
      return await work();
    } finally {
      await sql`rollback`;
    }
  }

  const wanted = await undone(async () => wantedCatalogue(sql, await catalogueOf(sql), SOURCES));
  const mending = await mendingOf(SOURCES);
  /** Of the server itself: one for tests may run with fsync off. */
  const ofServer = new Set((await undone(() => restOf(sql, CONNECTIONS))).map(({ what }) => what));
  const notOfServer = (found: Finding[]) => found.filter(({ what }) => !ofServer.has(what));

  async function examined(): Promise<Finding[]> {
    const is = { catalogue: await catalogueOf(sql), rest: await restOf(sql, CONNECTIONS) };
    return notOfServer(findings(is, wanted, mending));
  }

  /** DATABASE and LOGIN stand for the names of today. */
  const named = (text: string) =>
    text.replaceAll("DATABASE", target.database).replaceAll("LOGIN", target.login);

  async function tryDrift([done, ...said]: Drift): Promise<void> {
    await sql`set local role coupon_owner`;
    await sql.unsafe(named(done)).simple();
    await sql`reset role`;
    const found = await examined();
    assert.deepEqual(found.map(({ what }) => what).sort(), said.map(named).sort());
    if (LASTING.test(done)) return;
    for (const each of found) await mend(sql, each);
    assert.deepEqual(await examined(), []);
  }

  /** A test for each: its name, and what it does. */
  const trials = (drifts: Record<string, Drift[]>) =>
    Object.entries(drifts).flatMap(([kind, ofKind]) =>
      ofKind.map((drift) => ({ name: `${kind}: ${drift[0]}`, run: () => undone(() => tryDrift(drift)) })),
    );

  return { scratch, sql, undone, ofServer, notOfServer, wanted, trials };
}
