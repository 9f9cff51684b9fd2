/** What db/README.md says of a restore to a moment, done in the middle of a drop. Two servers run on, and nobody is told what is no longer true. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { env, serviceToken, userToken } from "../../bench/harness/app.ts";
import { archivingServer, commands } from "../../bench/harness/archiving-server.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { makeCoupon, makeUsers } from "../../bench/harness/coupons.ts";
import { options } from "../../bench/harness/debian.ts";
import { startLogging } from "../../bench/harness/logging-server.ts";
import { CHECKOUT } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { connect, type Sql } from "../../db/connect.ts";
import { setUp } from "../../db/setup.ts";
import { counted } from "./print.ts";

after(cleanUp);

const COUNT = 600;
const USERS = 1_000;
const CLIENTS = 8;

interface Asked {
  server: number;
  user: number;
  status: number;
  body: Record<string, unknown>;
}

/** Clients that ask both servers for all users in turn, again and again, until told to stop. */
function ask(urls: readonly string[], coupon: number) {
  const asked: Asked[] = [];
  const tokens: string[] = [];
  /** Users that do not ask for now. */
  const away = new Set<number>();
  let next = 0;
  let ends = false;
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    while (!ends) {
      const user = 1 + (next++ % USERS);
      if (away.has(user)) continue;
      const server = client % urls.length;
      tokens[user] ??= await userToken(user);
      const response = await fetch(`${urls[server]}/coupons/${coupon}/issue`, {
        method: "POST",
        headers: { authorization: `Bearer ${tokens[user]}` },
      });
      const body = (await response.json()) as Record<string, unknown>;
      asked.push({ server, user, status: response.status, body });
      await pause(5);
    }
  });
  const sold = (since: string) =>
    urls.map((_, i) => {
      const refused = asked.filter(({ server, body }) => server === i && body["sold_out_at"] === since);
      return refused.length;
    });
  return {
    asked,
    away,
    /** Waits until each server has refused often, as it does by a lease. */
    refused: (since: string) => until(async () => sold(since).every((n) => (n ?? 0) > 100)),
    async end() {
      ends = true;
      await Promise.all(clients);
    },
  };
}

/** Reads events, a page at a time, as a reader does who keeps its place. */
function reader(url: string) {
  const pages: { readAt: number; last: string; events: Event[] }[] = [];
  let ends = false;
  const read = async (after: string | undefined) => {
    const response = await fetch(`${url}/events${after ? `?after=${after}` : ""}`, {
      headers: { authorization: `Bearer ${await serviceToken}` },
    });
    return { status: response.status, body: (await response.json()) as Page };
  };
  async function readOn(after?: string) {
    const { body } = await read(after);
    if (body.events.length > 0)
      pages.push({ readAt: Date.now(), last: body.next_after as string, events: body.events });
    return body.next_after ?? after;
  }
  const running = (async () => {
    for (let place: string | undefined; !ends; await pause(20)) place = await readOn(place);
  })();
  return {
    pages,
    read,
    async end() {
      ends = true;
      await running;
    },
  };
}

interface Event {
  id: string;
  type: string;
  time: string;
  data: { user_id: number; position: number };
}
interface Page {
  outcome?: string;
  events: Event[];
  next_after: string | null;
}

const soldOutAt = async (sql: Sql) =>
  until(async () => (await sql`select from coupon.coupons where sold_out_at is not null`).count === 1)
    .then(() => sql`select ${sql.unsafe(RFC3339.replace("AT", "sold_out_at"))} as at from coupon.coupons`)
    .then(([row]) => row?.["at"] as string);
const RFC3339 = `to_char(AT at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** The grants by user, as answers tell them. */
async function grantsOf(sql: Sql): Promise<Map<number, { position: number; issued_at: string }>> {
  const rows = await sql`
    select user_id::integer, position, ${sql.unsafe(RFC3339.replace("AT", "issued_at"))} as issued_at
    from coupon.user_coupons order by position`;
  return new Map(
    rows.map(({ user_id, position, issued_at }) => [user_id as number, { position, issued_at }]),
  );
}

/** The places of pages that were made after the moment, and how many events the restored database has with their numbers. */
async function placesBeyond(sql: Sql, pages: readonly { last: string }[], moment: string) {
  const [at] =
    await sql`select (extract(epoch from ${moment}::text::timestamptz) * 1000000)::bigint::text as us`;
  const beyond = pages
    .map(({ last }) => last)
    .filter((id) => BigInt(id.split("-")[2] ?? 0) > BigInt(at?.["us"]));
  const numbers = beyond.map((id) => id.split("-")[0] as string);
  return {
    beyond,
    taken: (await sql`select from coupon.events where number = any(${numbers}::bigint[])`).count,
  };
}

async function startServers(t: TestContext, apiUrl: string) {
  const start = () => startLogging(t, { apiUrl }, { RATE_LIMIT: "0", JWT_SECRET: env.JWT_SECRET as string });
  return [await start(), await start()] as const;
}

test("put back to a moment in the middle of a drop, while two servers run on", options, async (t) => {
  const { target, operate, backup } = await archivingServer();
  await setUp(target);
  await operate(commands("base"));
  const admin = () => connect(target.as("coupon_admin"));
  const old = admin();
  await makeUsers(
    old,
    Array.from({ length: USERS }, (_, i) => i + 1),
  );
  const coupon = await makeCoupon(old, { code: "DROP", count: COUNT });
  const servers = await startServers(t, target.as("coupon_api").url);
  const urls = servers.map(({ url }) => url);
  const events = reader(urls[0] as string);
  await until(async () => events.pages.length > 0);
  const load = ask(urls, coupon);
  const firstSoldOutAt = await soldOutAt(old);
  await load.refused(firstSoldOutAt);
  await until(async () =>
    events.pages.some((page) => page.events.some(({ type }) => type === "coupon.sold_out")),
  );
  await events.end();
  const before = await grantsOf(old);
  await old.end();
  const moment = [...before.values()][COUNT / 2]?.issued_at as string;

  // A later base backup, which knows nothing of the moment.
  await operate(commands("base"));
  const bases = await readdir(join(backup, "base"));
  assert.equal(bases.length, 2);

  // The operator puts it back, twice. The clients do not stop asking, but for the last ten who got a unit.
  const last = [...before.keys()].slice(-10);
  for (const user of last) load.away.add(user);
  const putBackTo = (when: string) =>
    operate(`trap 'test $? = 0 || cat "$PGDATA/restore.log" >&2' EXIT\n${commands("moment")}`, {
      MOMENT: when,
    });
  // What is no moment stops and moves nothing.
  const startedAt = () => operate('sed -n 3p "$PGDATA/postmaster.pid"').then(({ stdout }) => stdout);
  const running = await startedAt();
  for (const none of [
    "",
    "2026-11-31T10:44:33Z",
    "when it was sold out",
    "a",
    "2000",
    "2020-01-01T00:00:00Z",
  ]) {
    await assert.rejects(
      putBackTo(none),
      /MOMENT|invalid date|no base backup in .* is older than 2020-01-01/,
    );
    assert.deepEqual([none, await startedAt()], [none, running]);
  }
  await operate('! ls -d "$PGDATA".lost.* 2> /dev/null');
  const putBack = () => putBackTo(moment);
  await putBack();
  const first = admin();
  await soldOutAt(first);
  await first.end();
  const stoppedAt = new Date().toISOString();
  await putBack();
  assert.equal((await operate('ls -d "$PGDATA".lost.*')).stdout.trim().split("\n").length, 2);
  const restored = admin();
  t.after(() => restored.end({ timeout: 1 }));
  const secondSoldOutAt = await soldOutAt(restored);
  await load.refused(secondSoldOutAt);
  load.away.clear();
  const answered = load.asked.length;
  const asksAgain = (each: number) => load.asked.slice(answered).some(({ user }) => user === each);
  await until(() => last.every(asksAgain));
  await load.end();

  // What is there is what was there at the moment, and then what was issued anew.
  const grants = await grantsOf(restored);
  const kept = [...grants].filter(([, { issued_at }]) => issued_at < stoppedAt);
  assert.ok(kept.length > 0 && kept.length <= COUNT / 2 + 1, `${kept.length} grants were kept`);
  assert.deepEqual(kept, [...before].slice(0, kept.length));
  assert.equal(grants.size, COUNT);
  assert.deepEqual([...(await restored`select * from reconcile()`)], []);

  // Answers: those of each server, in their order.
  const isTrue = ({ user, body }: Asked) => {
    const { outcome, position, issued_at, sold_out_at } = body;
    if (outcome === "sold_out") return sold_out_at === secondSoldOutAt;
    const grant = grants.get(user);
    return grant?.position === position && grant?.issued_at === issued_at;
  };
  for (const i of [0, 1]) {
    const told = load.asked.filter(({ server }) => server === i);
    const isNew = ({ body }: Asked) => `${body["issued_at"]}` > stoppedAt && body["outcome"] === "issued";
    const first = told.findIndex(isNew);
    assert.ok(first > 0, "it issued again");
    const afterwards = told.slice(first).filter(({ status }) => status !== 503);
    assert.deepEqual(
      afterwards.filter((each) => !isTrue(each)),
      [],
    );
    t.diagnostic(`server ${i + 1}: ${told.length} answers, ${afterwards.length} of the restored database`);
  }
  assert.deepEqual(
    [...new Set(load.asked.filter(({ status }) => status >= 500).map(({ body }) => body["outcome"]))].filter(
      (outcome) => !["database_unavailable", "outcome_unknown", "overloaded"].includes(`${outcome}`),
    ),
    [],
  );

  // Events: who had read beyond the moment is refused, who had not goes on and misses nothing.
  const { pages, read } = events;
  const known = pages.filter(({ readAt }) => readAt < Date.parse(moment));
  const seen = known.flatMap((page) => page.events);
  for (let place = known.at(-1)?.last; ; ) {
    const { body } = await read(place);
    seen.push(...body.events);
    if (body.events.length === 0) break;
    place = body.next_after as string;
  }
  const issued = seen.filter(({ type }) => type === "coupon.issued");
  assert.deepEqual(
    issued.map(({ time, data: { user_id, position } }) => [user_id, { position, issued_at: time }]),
    [...grants],
  );
  assert.equal(seen.length, COUNT + 2, "created, and sold out once");
  const { beyond, taken } = await placesBeyond(restored, pages, moment);
  assert.ok(
    beyond.length > 0 && taken > 0,
    `${beyond.length} places, of which ${taken} are other events' now`,
  );
  for (const place of beyond.slice(0, 20)) {
    const { status, body } = await read(place);
    assert.deepEqual([place, status, body.outcome], [place, 400, "invalid_request"]);
  }

  // What was lost is named, by the logs of both.
  const acknowledged = new Map<string, Asked>();
  for (const each of load.asked)
    if (each.status < 300) acknowledged.set(`${each.user} ${each.body["issued_at"]}`, each);
  const expected = [...acknowledged.values()].flatMap(({ user, body: { position, issued_at } }) => {
    const now = grants.get(user);
    if (now?.issued_at === issued_at) return [];
    const was = `coupon ${coupon}, user ${user}, position ${position}, ${issued_at}`;
    return now ? `${was}: issued again at position ${now.position}, ${now.issued_at}` : `${was}: gone`;
  });
  const gone = expected.filter((line) => line.endsWith(": gone")).length;
  assert.ok(gone >= last.length, "these have nothing now");
  const there = acknowledged.size - expected.length;
  const logs = await temporaryDirectory();
  for (const [i, { logged }] of servers.entries())
    await writeFile(join(logs, `server-${i + 1}.log`), logged.map((line) => JSON.stringify(line)).join("\n"));
  const run = promisify(execFile)(
    "sh",
    ["-ec", commands("compare").replaceAll("server-", `${logs}/server-`)],
    {
      cwd: CHECKOUT,
      env: {
        PATH: process.env["PATH"],
        DATABASE_URL: target.url,
        DATA_DIR: join(logs, "data"),
        ENV_FILE: "",
      },
    },
  );
  const { stdout, stderr, code } = await run.then(
    () => assert.fail("it must end with status 1"),
    (error) => error as { stdout: string; stderr: string; code: number },
  );
  assert.deepEqual([code, stderr], [1, ""]);
  assert.match(stdout, new RegExp(`^0 broken invariants in 1 coupon and ${COUNT} grants$`, "m"));
  const lines = stdout.trim().split("\n");
  assert.equal(
    lines.at(-1),
    `${acknowledged.size} acknowledged grants: ${there} are there, ${counted(gone, "is", "are")} gone, ${counted(expected.length - gone, "was", "were")} issued again`,
  );
  assert.deepEqual(lines.filter((line) => line.startsWith("coupon ")).sort(), expected.sort());
  t.diagnostic(lines.at(-1) as string);

  // Of the base backups the last is kept, and the archive from its beginning on.
  await operate(commands("old").replace("head -n -7", "head -n -1"));
  assert.deepEqual(await readdir(join(backup, "base")), bases.sort().slice(1));
  const label = await readFile(join(backup, "base", `${bases[1]}`, "backup_label"), "utf8");
  const wal = (await readdir(join(backup, "wal"))).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort();
  assert.equal(wal[0], label.match(/\(file ([0-9A-F]{24})\)/)?.[1]);
});
