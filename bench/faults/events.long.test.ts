/**
 * Who reads events() beside kills, of sessions, of a server, of PostgreSQL: by SQL, and over HTTP. Others issue, use and change, some
 * in transactions that stay open for a while and are then undone. What each reader has seen is in the end the whole feed, in its order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../../db/connect.ts";
import { signal } from "../../server/cluster/processes.ts";
import { withCleanup } from "../harness/cleanup.ts";
import { createThings } from "../harness/coupons.ts";
import { type Scratch, scratchDatabase } from "../harness/scratch.ts";
import { newSecret } from "../harness/service.ts";
import { createRandom } from "../harness/stats.ts";
import { addUsers } from "../harness/tables.ts";
import { adminToken } from "../harness/tokens.ts";
import { until } from "../harness/waiting.ts";
import { type Cluster, startCluster, visit } from "./cluster.ts";
import { startServer } from "./ground.ts";
import { newHistory } from "./history.ts";
import { anotherPostmaster, backends } from "./kinds/postgres.ts";
import { untilSeen } from "./seen.ts";

/**
 * KILLS=50 was run on 2026-11-29: 27 sessions were ended, 5 backends killed, 6 servers killed, and PostgreSQL was shut down at once 12 times, and
 * each reader read 5,981 events. In CI each costs a second.
 */
const KILLS = Number(process.env["KILLS"] ?? 10);
const USERS = 20_000;
const COUPONS = 4;
const WRITERS = 3;
/** Who keep their transactions open. */
const HOLDERS = 3;
const SEED = 1;
const WRITES = "coupon_admin";

/** An event as it was read: its id, and what it is. */
type Seen = [id: string, what: string];
type Row = Record<string, unknown>;

const seen = ({ event_id, event, coupon_id, user_id, position, use_reference }: Row): Seen => [
  String(event_id),
  [event, coupon_id, user_id, position, use_reference].map((each) => String(each)).join(" "),
];

test(`${KILLS} kills: what was read is the feed, in its order`, (t) =>
  withCleanup(async (later) => {
    const random = createRandom(SEED);
    const cluster = await startCluster();
    later(cluster.close);
    const database = await scratchDatabase(cluster.url);
    later(database.drop);
    await addUsers(database, 1, USERS);
    const { newCoupon } = createThings(database.admin);
    const coupons: number[] = [];
    while (coupons.length < COUPONS) coupons.push(await newCoupon({ count: USERS, until: "3 days" }));

    const history = newHistory(SEED, new Map());
    const secret = newSecret();
    let server = await startServer(database.apiUrl, secret, history);
    later(() => server.stop());
    const wrong: string[] = [];
    let isOver = false;
    /** Does it again and again on connections that are lost, until it says that it is done. */
    const insist = async (
      url: string,
      work: (...given: Parameters<Parameters<typeof visit>[1]>) => Promise<void>,
    ) => {
      for (let isDone = false; !isDone; await sleep(10))
        try {
          await visit(url, work);
          isDone = true;
        } catch (error) {
          const { name, code = "", message } = error as Error & { code?: string };
          // Ended, shut down, starting up, or another session crashed.
          if (name === "PostgresError" && !/^(57P|08)/.test(code)) wrong.push(`${code} ${message}`);
          if (wrong.length > 0) return;
        }
    };

    let lastUser = 0;
    const write = (url: string, holdMs: number) =>
      insist(url, async (sql) => {
        while (!isOver) {
          const [user, coupon] = [++lastUser, coupons[Math.floor(random() * COUPONS)] as number];
          const isUndone = holdMs > 0 && random() < 0.4;
          if (holdMs > 0) await sql`begin`;
          else await sql`select from issue_coupon(${user}, ${coupon})`;
          // A lock that is held would keep all others from what they do: only rows of one's own.
          await sql`select from use_coupon(${holdMs > 0 ? 1 + Math.floor(random() * lastUser) : user}, ${coupon}, ${`order ${user}`})`;
          if (random() < 0.2) await sql`select from undo_use(${user}, ${coupon}, 'cancelled')`;
          if (holdMs === 0 && random() < 0.1)
            await sql`select from edit_coupon(${coupon}, message => ${`m ${user}`})`;
          if (holdMs === 0 && random() < 0.02) await sql`select from pause_coupon(${coupon})`;
          if (holdMs === 0 && random() < 0.1) await sql`select from resume_coupon(${coupon})`;
          if (holdMs === 0) continue;
          await sleep(random() * holdMs);
          await sql.unsafe(isUndone ? "rollback" : "commit");
        }
      });
    const writing = [
      ...Array.from({ length: WRITERS }, () => write(database.adminUrl, 0)),
      ...Array.from({ length: HOLDERS }, (_, i) => write(database.adminUrl, 200 * (i + 1))),
    ];

    /** Where a reader ends, once that is known. */
    let end: string | undefined;
    const bySql: Seen[] = [];
    const byHttp: Seen[] = [];
    const hasAll = (read: Seen[]) => end !== undefined && read.at(-1)?.[0] === end;
    const readingSql = insist(database.adminUrl, async (sql) => {
      while (!hasAll(bySql)) {
        const page = await sql`
          select event_id, event, coupon_id, user_id, "position", use_reference
          from events(${bySql.at(-1)?.[0] ?? null}, ${1 + Math.floor(random() * 40)}::integer)`;
        bySql.push(...page.map(seen));
      }
    });
    const readingHttp = (async () => {
      while (!hasAll(byHttp) && wrong.length === 0) {
        const after = byHttp.at(-1)?.[0];
        const page = await pageOf(server.url, adminToken(secret), after, 1 + Math.floor(random() * 40));
        if (page === undefined) await sleep(10);
        else if (typeof page === "string") wrong.push(page);
        else byHttp.push(...page);
      }
    })();

    const strike = async (): Promise<string> => {
      const r = random();
      if (r < 0.6) return terminated(cluster, random);
      if (r < 0.7) {
        server.dismiss();
        signal([server.pid], "SIGKILL");
        await server.ended;
        server = await startServer(database.apiUrl, secret, history);
        return "server killed";
      }
      if (r < 0.85) return crashed(cluster, random);
      await anotherPostmaster(cluster, async () => signal((await cluster.pids()).slice(0, 1), "SIGQUIT"));
      return "immediate shutdown";
    };
    const struck: Record<string, number> = {};
    for (let i = 0; i < KILLS && wrong.length === 0; i++) {
      const kind = await strike();
      struck[kind] = (struck[kind] ?? 0) + 1;
      const [one, other] = [bySql.length, byHttp.length];
      await until(
        () => wrong.length > 0 || (bySql.length > one && byHttp.length > other),
        `both readers go on after: ${kind}`,
      );
    }
    isOver = true;
    await Promise.all(writing);
    const feed = await feedOf(database);
    end = feed.at(-1)?.[0];
    await Promise.all([readingSql, readingHttp]);
    t.diagnostic(JSON.stringify({ struck, events: feed.length }));
    assert.deepEqual(wrong, []);
    assert.deepEqual(history.deaths, []);
    assert.equal(new Set(feed.map(([id]) => id)).size, feed.length);
    assert.deepEqual(bySql, feed);
    assert.deepEqual(byHttp, feed);
    assert.deepEqual(feed.map(([, what]) => what).toSorted(), (await factsOf(database)).toSorted());
  }));

/** A page over HTTP; undefined: not now; a text: what is wrong. */
async function pageOf(
  url: string,
  token: string,
  after: string | undefined,
  size: number,
): Promise<Seen[] | string | undefined> {
  const query = new URLSearchParams({ page_size: `${size}`, ...(after && { after }) });
  try {
    const response = await fetch(`${url}/events?${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    if (response.status === 503) return undefined;
    if (response.status !== 200) return `${response.status} ${text}`;
    const { events } = JSON.parse(text) as { events: { id: string; type: string; data: Row }[] };
    return events.map(({ id, type, data }) =>
      seen({ event_id: id, event: type.replace("coupon.", ""), ...data }),
    );
  } catch {
    return undefined;
  }
}

/** A session of those who write or read, or of the server, is ended. */
async function terminated(cluster: Cluster, random: () => number): Promise<string> {
  await cluster.asSuperuser(async (sql) => {
    const pids = await backends(sql, random() < 0.7 ? WRITES : "coupon_api");
    const pid = pids[Math.floor(random() * pids.length)];
    if (pid === undefined) return;
    await sql`select pg_terminate_backend(${pid})`;
    await untilSeen("a session ends", async () => {
      const [found] = await sql`select from pg_stat_activity where pid = ${pid}`;
      return found === undefined;
    });
  });
  return "session ended";
}

/** One of them is killed, which ends all others. */
async function crashed(cluster: Cluster, random: () => number): Promise<string> {
  const pids = await cluster.asSuperuser((sql) => backends(sql, WRITES));
  const pid = pids[Math.floor(random() * pids.length)];
  if (pid === undefined) return terminated(cluster, random);
  const [, ...before] = await cluster.pids();
  signal([pid], "SIGKILL");
  await untilSeen("all backends ended", async () => {
    const now = await cluster.pids();
    return !before.some((each) => now.includes(each));
  });
  await cluster.start();
  return "backend killed";
}

/** All events, from the beginning. */
async function feedOf({ admin }: Scratch): Promise<Seen[]> {
  const feed: Seen[] = [];
  for (let isEnd = false; !isEnd; ) {
    const page: readonly Row[] = await admin`
      select event_id, event, coupon_id, user_id, "position", use_reference
      from events(${feed.at(-1)?.[0] ?? null}, 1000)`;
    feed.push(...page.map(seen));
    isEnd = page.length === 0;
  }
  return feed;
}

/** What there is to tell: the grants, and the audit. */
async function factsOf({ setupUrl }: Scratch): Promise<string[]> {
  const rows = await withConnection(
    setupUrl,
    (sql) => sql`
      select 'issued' as event, coupon_id, user_id, "position", null as use_reference from coupon.user_coupons
      union all
      select coupon.event_of(a)::text, coupon_id, user_id, null, coalesce(new_values, old_values)->>'use_reference'
      from coupon.audit a where coupon.event_of(a) is not null`,
    { role: "coupon_owner" },
  );
  return rows.map((row) => seen({ event_id: "", ...row })[1]);
}
