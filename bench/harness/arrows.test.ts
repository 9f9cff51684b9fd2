/** Who may import whom: the arrows between the wings of the house, no circles, and nothing of the workshop in production. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { posix } from "node:path";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);

/** What each wing may import besides itself. Types count. A file directly in server/ is a wing of its own. */
const MAY: Record<string, readonly string[]> = {
  sql: [],
  db: [],
  // The settings read database URLs; clock, retry-after and typescript import nothing of ours: every wing that needs them may.
  "server/env.ts": ["db", "server/issuer-settings.ts", "server/trace-settings.ts"],
  "server/clock.ts": [],
  "server/issuer-settings.ts": [],
  "server/retry-after.ts": [],
  "server/trace-settings.ts": [],
  "server/typescript.ts": [],
  "server/address.ts": ["db", "server/env.ts"],
  "server/cluster": ["db", "server/typescript.ts"],
  "server/api": [],
  "server/public": ["server/api"],
  "server/database": ["db", "server/api"],
  "server/http": ["server/api", "server/clock.ts", "server/database"],
  "server/filling.ts": ["server/clock.ts", "server/database"],
  "server/counting.ts": ["server/clock.ts", "server/database"],
  "server/folding.ts": ["server/clock.ts", "server/database"],
  "server/resolving.ts": ["server/clock.ts", "server/database", "server/issuing"],
  "server/webhooks": ["server/api", "server/clock.ts", "server/database", "server/retry-after.ts"],
  "server/issuing": ["server/api", "server/clock.ts", "server/database"],
  "server/auth": [
    "db",
    "server/api",
    "server/clock.ts",
    "server/env.ts",
    "server/http",
    "server/issuer-settings.ts",
  ],
  "server/observability": [
    ...["server/api", "server/clock.ts", "server/env.ts", "server/database", "server/http"],
    "server/retry-after.ts",
    "server/trace-settings.ts",
  ],
};
const parts = Object.keys(MAY).filter((wing) => wing !== "server/public");
MAY["server/routes"] = parts;
MAY["server/compose.ts"] = [...parts, "server/routes"];
MAY["server/workers.ts"] = parts;
MAY["server/serve.ts"] = [...parts, "server/compose.ts", "server/workers.ts"];
MAY["server/main.ts"] = [...parts, "server/serve.ts", "server/workers.ts"];
MAY["server/commands"] = [...parts, "server/routes"];
MAY["bench"] = Object.keys(MAY).filter((wing) => wing !== "server/public");

/** Where production begins: ./sd and the commands that it starts. */
const ENTRANCES = ["server/commands/main.ts", "server/commands/token.ts", "server/main.ts"];

const IMPORT = /(?:\bfrom|(?<!-)\bimport\s*\(?)\s*["']([^"'\n]+)["']/g;

/** All that breaks a rule; `files` are texts by path, `dependencies` the packages that production installs. */
function broken(files: ReadonlyMap<string, string>, dependencies: readonly string[]): string[] {
  const found: string[] = [];
  const imports = new Map<string, string[]>();
  for (const [file, text] of files) {
    if (file.endsWith(".test.ts")) continue;
    const named = [...text.matchAll(IMPORT)].map(([, name = ""]) => name);
    const ours = named.filter((name) => name.startsWith("."));
    imports.set(
      file,
      ours.map((name) => posix.join(posix.dirname(file), name)),
    );
    const isWorkshop = file.startsWith("bench/");
    for (const name of named) {
      if (isWorkshop || name.startsWith(".")) continue;
      const isKept = dependencies.some((kept) => name === kept || name.startsWith(`${kept}/`));
      if (name.startsWith("node:") ? name === "node:test" : !isKept) found.push(`${file} imports ${name}`);
    }
    for (const other of imports.get(file) ?? []) {
      const [from, to] = [wingOf(file), wingOf(other)];
      if (from !== to && !MAY[from]?.includes(to)) found.push(`${file} imports ${other}`);
    }
  }
  const reached = new Set<string>();
  for (const entrance of ENTRANCES) walk(entrance, []);
  for (const file of imports.keys()) {
    const isBrowsers = file.startsWith("server/public/");
    if (/^(db|server|sql)\//.test(file) && !isBrowsers && !reached.has(file))
      found.push(`${file} is not run by production`);
  }
  for (const file of imports.keys()) walk(file, []);
  return found;

  function walk(file: string, path: string[]): void {
    if (path.includes(file)) found.push(`${[...path.slice(path.indexOf(file)), file].join(" → ")}`);
    if (reached.has(file)) return;
    reached.add(file);
    for (const other of imports.get(file) ?? []) walk(other, [...path, file]);
  }
}

function wingOf(file: string): string {
  const [wing = "", inner = ""] = file.split("/");
  return wing === "server" ? `server/${inner}` : wing;
}

test("every import follows an arrow, there is no circle, and production imports nothing of the workshop", async () => {
  const files = new Map<string, string>();
  for (const wing of ["bench", "db", "server", "sql"])
    for (const name of await readdir(new URL(wing, ROOT), { recursive: true }))
      if (/\.[jt]s$/.test(name)) {
        const file = `${wing}/${name}`;
        files.set(file, await readFile(new URL(file, ROOT), "utf8"));
      }
  const { dependencies } = JSON.parse(await readFile(new URL("package.json", ROOT), "utf8"));
  assert.deepEqual(broken(files, Object.keys(dependencies)), []);
});

for (const [file, text, expected] of [
  ["db/a.ts", 'import type { B } from "../server/env.ts"', "db/a.ts imports server/env.ts"],
  ["server/api/a.ts", 'export * from "../http/b.ts"', "server/api/a.ts imports server/http/b.ts"],
  [
    "server/issuing/a.ts",
    '/** @type {import("../http/b.ts").B} */',
    "server/issuing/a.ts imports server/http/b.ts",
  ],
  ["server/routes/a.ts", 'await import("../../bench/b.ts")', "server/routes/a.ts imports bench/b.ts"],
  ["server/http/a.ts", 'import {\n  b,\n} from "ajv";', "server/http/a.ts imports ajv"],
  ["server/http/a.ts", 'import { test } from "node:test"', "server/http/a.ts imports node:test"],
  ["bench/a.ts", 'import "./b.ts"; import "ajv"', "bench/a.ts → bench/b.ts → bench/a.ts"],
  ["db/a.ts", "", "db/a.ts is not run by production"],
] as const)
  test(`found: ${expected}`, () => {
    const others: [string, string][] = [
      ["bench/b.ts", 'import type { A } from "./a.ts"'],
      ["server/commands/main.ts", expected.includes("production") ? "" : `import "../../${file}"`],
    ];
    const found = broken(
      new Map([[file, text], ...(file.startsWith("bench") ? others.slice(0, 1) : others)]),
      ["hono"],
    );
    assert.ok(found.includes(expected), found.join("\n"));
  });
