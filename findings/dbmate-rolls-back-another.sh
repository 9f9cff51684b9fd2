#!/bin/sh
# dbmate 2.36.0 from npm, on Linux x64, with SQLite.
#
# `dbmate rollback` undoes the migration with the greatest version among those that are applied, which need not be the one that was
# applied last. dbmate applies what is missing whatever its version, and keeps no order of what it did.
#
# Seen, of 20261101 and 20261103, applied, and then 20261102, which a branch brought:
#   dbmate up         Applied: 20261102000000_merged.sql
#   dbmate rollback   Rolled back: 20261103000000_mine.sql
# A good guess goes wrong because rollback is described as undoing the most recent migration, and what one wants undone is what the deploy
# of a minute ago did; and because on one's own branch the two are the same.
# Who meets it: two branches whose migrations were written in one order and merged in the other. A rollback of the second deploy drops the
# tables of the first, which had worked for days, with what is in them; what went wrong stays.
# What to do: read `dbmate status`, and the file that would be undone, before a rollback; `--strict` at `up`, which refuses an older
# version; or a new migration that undoes.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts dbmate@2.36.0
dbmate=$dir/node_modules/@dbmate/linux-x64/bin/dbmate
export DATABASE_URL=sqlite:one.sqlite DBMATE_NO_DUMP_SCHEMA=true
mkdir -p db/migrations
migration() { printf -- '-- migrate:up\ncreate table %s (id integer);\n-- migrate:down\ndrop table %s;\n' "$2" "$2" >"db/migrations/$1_$2.sql"; }

migration 20261101000000 first
migration 20261103000000 mine
"$dbmate" up >/dev/null
# A branch with an older date is merged, and the next deploy applies it.
migration 20261102000000 merged
"$dbmate" up | grep Applied | sed 's/ in .*//' | tee applied
"$dbmate" rollback | grep 'Rolled back' | sed 's/ in .*//' | tee rolled-back
if [ "$(cat applied)" != "Applied: 20261102000000_merged.sql" ] || [ "$(cat rolled-back)" != "Rolled back: 20261103000000_mine.sql" ]; then
  echo "changed: dbmate rolls back the migration that it applied last" >&2
  exit 1
fi
