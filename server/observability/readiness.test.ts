import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { assertProblem, openApp } from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { systemClock } from "../clock.ts";
import { DatabaseError } from "../database/errors.ts";
import type { SchemaVersion } from "../database/functions.ts";
import { Problem } from "../http/problem.ts";
import { createReadiness, neededFunctions, newestMigration } from "./readiness.ts";

/** What a server that knows migration 20260000000002 says of a database that answers so. */
async function saidOf(
  answer: () => Promise<SchemaVersion>,
  draining = false,
  clock = systemClock,
): Promise<unknown> {
  const ready = createReadiness({
    db: { schemaVersion: answer },
    isDraining: () => draining,
    newestMigration: "20260000000002",
    needed: [],
    clock,
  });
  try {
    return await ready();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [error.status, error.members];
  }
}

const stands = (migration: string | null, oldest_server: string) => () =>
  Promise.resolve({ migration, oldest_server, missing: [], waiting: [] });
const fails =
  (kind: DatabaseError["kind"], sqlstate = "") =>
  () =>
    Promise.reject(new DatabaseError(kind, sqlstate, "a reason"));
const problem = (outcome: string, detail: string) => [503, { outcome, detail, retryAfter: 1 }];

for (const [what, answer, expected] of [
  ["as new as the server", stands("20260000000002", "20260000000001"), undefined],
  ["needs just this server", stands("20260000000002", "20260000000002"), undefined],
  ["newer, and the server still fits", stands("20260000000003", "20260000000002"), undefined],
  [
    "newer, and the server doesn't fit",
    stands("20260000000003", "20260000000003"),
    problem(
      "server_too_old",
      "The database's functions need a server that knows migration 20260000000003; this one knows them up to " +
        "20260000000002. Start the newer release.",
    ),
  ],
  [
    "older",
    stands("20260000000001", "20260000000001"),
    problem(
      "migrations_pending",
      "The database stands at migration 20260000000001, and this server needs 20260000000002: run ./sd migrate.",
    ),
  ],
  ...[stands(null, "20260000000001"), fails("defect", "42883"), fails("defect", "42501")].map(
    (answer) =>
      [
        "empty",
        answer,
        problem(
          "migrations_pending",
          "The database is not set up, and this server needs 20260000000002: run ./sd migrate.",
        ),
      ] as const,
  ),
  ...(["busy", "unknown", "conflict"] as const).map(
    (kind) =>
      [kind, fails(kind), problem("database_unavailable", "The database did not answer in time.")] as const,
  ),
] as const)
  test(`a database that is ${what}`, async () => assert.deepEqual(await saidOf(answer), expected));

test("draining comes first, and asks nothing", async () =>
  assert.deepEqual(
    await saidOf(() => assert.fail("asked"), true),
    problem("draining", "This server is ending."),
  ));

test("unreachable: with the reason, if that is known", async () => {
  const generic = "The database cannot be reached; nothing was done. Send the request again.";
  assert.deepEqual(await saidOf(fails("unavailable")), problem("database_unavailable", generic));
  assert.deepEqual(
    await saidOf(fails("unavailable", "3D000")),
    problem("database_unavailable", "There is no such database."),
  );
});

test("commits that wait for a standby", async () => {
  const detail = "Writes wait for a standby of the database; nothing was done. Send the request again.";
  assert.deepEqual(await saidOf(fails("stalled")), problem("writes_stalled", detail));
});

test("a commit that is seen to wait for 0.3 s", async () => {
  const clock = createClock();
  let waiting = ["7 12.5"];
  const ready = createReadiness({
    db: { schemaVersion: async () => ({ migration: "2", oldest_server: "1", missing: [], waiting }) },
    isDraining: () => false,
    newestMigration: "2",
    needed: [],
    clock,
  });
  await ready();
  await clock.pass(299);
  await ready();
  waiting = ["7 12.75", "8 12.5"];
  await clock.pass(1);
  await ready();
  await clock.pass(300);
  await assert.rejects(ready(), (error: Problem) => error.members.outcome === "writes_stalled");
  waiting = ["7 12.875"];
  await ready();
});

test("our own mistakes are told as they are", async () => {
  await assert.rejects(saidOf(fails("defect", "XX000")), { kind: "defect" });
});

test("a database that never answers: 0.8 s, and not the call's own deadline", async () => {
  const clock = createClock();
  const said = saidOf(() => new Promise(() => {}), false, clock);
  await clock.pass(799);
  assert.equal(await Promise.race([said, Promise.resolve("waits")]), "waits");
  await clock.pass(1);
  assert.deepEqual(await said, problem("database_unavailable", "The database did not answer in time."));
});

test("the newest migration is the one of the files", async () => {
  const files = (await readdir(new URL("../../db/migrations/", import.meta.url))).sort();
  assert.equal(await newestMigration(), files.at(-1)?.split("_")[0]);
});

async function open(t: TestContext) {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  return { scratch, app };
}

test("GET /readyz on a real database: ready, older, newer, too new", async (t) => {
  const { scratch, app } = await open(t);
  const newest = await newestMigration();
  const ready = async () => {
    const { status, body } = await app.call("GET /readyz");
    return [status, body.outcome ?? body.status];
  };
  assert.deepEqual(await ready(), [200, "ok"]);
  await scratch.owner`insert into coupon.schema_migrations values ('29990101000000')`;
  assert.deepEqual(await ready(), [200, "ok"]);
  const [{ prosrc = "" } = {}] =
    await scratch.owner`select prosrc from pg_proc where proname = 'schema_version'`;
  await scratch.owner.unsafe(
    `create or replace function public.schema_version() returns table (release text, migration text, oldest_server text)
    language sql volatile security definer set search_path = pg_catalog, pg_temp
    as $$${prosrc.replace(/'\d{14}'/, "'29990101000000'")}$$`,
  );
  assert.deepEqual(await ready(), [503, "server_too_old"]);
  await scratch.owner`delete from coupon.schema_migrations where version >= ${newest}`;
  assert.deepEqual(await ready(), [503, "migrations_pending"]);
  assert.deepEqual(app.failures(), [], "nothing of it is an error of ours");
});

test("GET /readyz on a database from before schema_version()", async (t) => {
  const { scratch, app } = await open(t);
  await scratch.owner`drop function public.schema_version()`;
  assertProblem(await app.call("GET /readyz"), 503, {
    outcome: "migrations_pending",
    detail: `The database is not set up, and this server needs ${await newestMigration()}: run ./sd migrate.`,
  });
});

test("what the server needs is what its login may call", async (t) => {
  const { scratch } = await open(t);
  const granted = await scratch.owner`
    select p.oid::regprocedure::text as name from pg_proc p
    where p.pronamespace = 'public'::regnamespace and has_function_privilege('coupon_api', p.oid, 'execute')`;
  const needed = await scratch.owner`
    select f::regprocedure::text as name from unnest(${await neededFunctions()}::text[]) f`;
  const names = (found: readonly { name?: string }[]) => found.map(({ name }) => name).sort();
  assert.ok(granted.length >= 20);
  assert.deepEqual(names(needed), names(granted));
});

for (const [what, plant, mend] of [
  [
    "is missing",
    "alter function public.issue_coupons(bigint, bigint[]) rename to issue_coupons_away",
    "alter function public.issue_coupons_away(bigint, bigint[]) rename to issue_coupons",
  ],
  [
    "is not the login's to call",
    "revoke execute on function public.issue_coupons(bigint, bigint[]) from coupon_api",
    "grant execute on function public.issue_coupons(bigint, bigint[]) to coupon_api",
  ],
] as const)
  test(`a function that ${what}: not ready, until it is mended`, async (t) => {
    const { scratch, app } = await open(t);
    assert.equal((await app.call("GET /readyz")).status, 200);
    await scratch.owner.unsafe(plant);
    const detail = "The server's login cannot call public.issue_coupons(bigint, bigint[]): run ./sd migrate.";
    assertProblem(await app.call("GET /readyz"), 503, { outcome: "migrations_pending", detail });
    assert.equal((await app.issue(1, 1)).status, 500);
    await scratch.owner.unsafe(mend);
    assert.equal((await app.call("GET /readyz")).status, 200);
    assert.equal((await app.issue(1, 1)).body.outcome, "coupon_not_found");
  });
