/**
 * Who may import whom: the arrows between the wings of the house, no circles, and nothing of the workshop in production. An image has
 * db, server and sql without their tests (.dockerignore): every other file in them is one that production reads, or one for people.
 * And how long a file of SQL may be.
 */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { posix } from "node:path";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);

/** What each wing may import besides itself. Types count. A file directly in server/ is a wing of its own. */
const MAY: Record<string, readonly string[]> = {
  sql: [],
  db: [],
  // The settings read database URLs. What imports nothing of ours every wing that needs it may.
  "server/env.ts": ["db", "server/issuer-settings.ts", "server/trace-settings.ts"],
  "server/clock.ts": [],
  "server/issuer-settings.ts": ["server/web-address.ts"],
  "server/retry-after.ts": [],
  "server/trace-settings.ts": ["server/web-address.ts"],
  "server/typescript.ts": [],
  "server/web-address.ts": [],
  "server/address.ts": ["db", "server/env.ts"],
  "server/cluster": ["db", "server/typescript.ts"],
  "server/api": [],
  "server/public": ["server/api"],
  "server/database": ["db", "server/api"],
  "server/http": ["server/api", "server/clock.ts", "server/database"],
  "server/background": ["server/clock.ts", "server/database"],
  "server/webhooks": ["server/api", "server/clock.ts", "server/database", "server/retry-after.ts"],
  "server/issuing": ["server/api", "server/clock.ts", "server/database"],
  "server/auth": [
    ...["db", "server/api", "server/clock.ts", "server/database", "server/env.ts", "server/http"],
    // Subjects are resolved in batches, by lanes as coupons are issued.
    ...["server/issuer-settings.ts", "server/issuing", "server/web-address.ts"],
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

/** What is imported, and what is looked for where packages are, as far as its name is written out. */
const IMPORT =
  /(?:\bfrom|(?<!-)\bimport\s*\(?)\s*["']([^"'\n]+)["']|(?:\bmeta|\))\.resolve\(\s*["'`]([^"'`$\n]+)/g;

/** Where Node.js does not run TypeScript itself, `sd` installs the dependencies of development too, of which tsx is one. */
const NOT_INSTALLED = ["server/typescript.ts imports tsx"];

/** What production does not read, and why it lies beside what production runs. */
const FOR_PEOPLE: Record<string, readonly string[]> = {
  "documents lie beside what they describe": [
    ...["db/README.md", "server/README.md", "server/SECURITY.md", "server/public/README.md", "sql/README.md"],
  ],
  "an operator gives them to Kubernetes, Prometheus and Grafana": [
    ...["server/kubernetes/migrate.yaml", "server/kubernetes/server.yaml"],
    ...["server/observability/alerts.yml", "server/observability/dashboard.json"],
  ],
  "npm packs the client where its files are": [
    ...["server/public/LICENSE", "server/public/package.json", "server/public/coupon-drop-client.d.ts"],
  ],
  "editors look for them beside what a browser runs": [
    ...["server/public/lean-qr.d.ts", "server/public/tsconfig.json"],
  ],
};

/** All that breaks a rule; `files` are texts by path, `dependencies` the packages that production installs. */
function broken(files: ReadonlyMap<string, string>, dependencies: readonly string[]): string[] {
  const found: string[] = [];
  const imports = new Map<string, string[]>();
  for (const [file, text] of files) {
    if (file.endsWith(".test.ts")) continue;
    const named = [...text.matchAll(IMPORT)].map(([, imported, found]) => imported ?? found ?? "");
    const ours = named.filter((name) => name.startsWith(".") && !name.endsWith("/"));
    imports.set(
      file,
      ours.map((name) => posix.join(posix.dirname(file), name)),
    );
    const isWorkshop = file.startsWith("bench/");
    for (const name of named) {
      if (isWorkshop || name.startsWith(".")) continue;
      const isKept = dependencies.some(
        (kept) =>
          name === kept || name.startsWith(`${kept}/`) || (name.endsWith("/") && kept.startsWith(name)),
      );
      const line = `${file} imports ${name}`;
      if ((name.startsWith("node:") ? name === "node:test" : !isKept) && !NOT_INSTALLED.includes(line))
        found.push(line);
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

/** A path in quotes, or all of a line of sql/manifest.txt. */
const NAME = /["'`]([\w./-]+\.\w+)["'`]|^((?:internal\/)?\w+\.sql)$/gm;

/** The files of an image that nothing in it names, those that are not TypeScript. Migrations are read as a folder. */
function idle(files: ReadonlyMap<string, string>): string[] {
  const image = [...files].filter(([file]) => /^(db|server|sql)\//.test(file) && !file.endsWith(".test.ts"));
  // A path from where it is named, or else the last part of one, which another name is put before.
  const named = new Set<string>();
  for (const [file, text] of image)
    if (/\.(ts|js|html|txt)$/.test(file))
      for (const [, quoted, line] of text.matchAll(NAME)) {
        const name = quoted ?? line ?? "";
        named.add(name.startsWith(".") ? posix.join(posix.dirname(file), name) : posix.basename(name));
      }
  return image
    .map(([file]) => file)
    .filter((file) => !/^db\/migrations\/\w+\.sql$|(?<!\.d)\.ts$/.test(file))
    .filter((file) => !named.has(file) && !named.has(posix.basename(file)));
}

/** All files of the wings, but what is no text. */
async function filesOf(wings: readonly string[]): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const wing of wings)
    for (const entry of await readdir(new URL(wing, ROOT), { recursive: true, withFileTypes: true })) {
      const file = posix.relative(ROOT.pathname, posix.join(entry.parentPath, entry.name));
      if (entry.isFile()) files.set(file, await readFile(new URL(file, ROOT), "utf8"));
    }
  return files;
}

/** What is loaded with a file that names it: neither types, nor what the file asks for when it runs. */
const LOADED = /^(?:import|export)\s(?!type\b)(?:[^"';()]*?\sfrom\s)?\s*["']([^"'\n]+)["']/gm;

/** The files of ours that are loaded with this one. */
function loadedWith(file: string, files: ReadonlyMap<string, string>): Set<string> {
  const loaded = new Set([file]);
  for (const one of loaded)
    for (const [, name = ""] of files.get(one)?.matchAll(LOADED) ?? [])
      if (name.startsWith(".")) loaded.add(posix.join(posix.dirname(one), name));
  return loaded;
}

/** What only an option needs, and what asks for it where that is set. */
const OPTIONS: Record<string, readonly string[]> = {
  "server/observability/tracing.ts": ["server/compose.ts"],
  "server/observability/otlp.ts": [],
  "server/observability/tracer.ts": [],
};

test("what traces requests is loaded only with a collector", async () => {
  const files = await filesOf(["db", "server"]);
  const loaded = loadedWith("server/main.ts", files);
  for (const [file, askedBy] of Object.entries(OPTIONS)) {
    assert.ok(files.has(file) && !loaded.has(file), `${file} is loaded`);
    const name = posix.basename(file);
    const asking = [...files].filter(([, text]) =>
      new RegExp(`\\bimport\\(\\s*["'][^"']*/${name}["']`).test(text),
    );
    assert.deepEqual(
      asking.map(([other]) => other),
      askedBy,
      `who asks for ${file}`,
    );
  }
  // What asks for it is loaded itself, with what it names.
  for (const file of ["server/compose.ts", "server/http/exchange.ts", "server/observability/metrics.ts"])
    assert.ok(loaded.has(file), `${file} is not loaded`);
  assert.ok(loadedWith("server/observability/tracing.ts", files).has("server/observability/otlp.ts"));
});

for (const [text, expected] of [
  ['import { b } from "./b.ts";', true],
  ['import {\n  b,\n  type C,\n} from "./b.ts";', true],
  ['import "./b.ts";', true],
  ['export { b } from "./b.ts";', true],
  ['import type { B } from "./b.ts";', false],
  ['export type { B } from "./b.ts";', false],
  ['export const b = () => import("./b.ts");', false],
  ['export const name = "x";\nconst from = "./b.ts";', false],
] as const)
  test(`${expected ? "loads" : "does not load"} another file: ${JSON.stringify(text)}`, () =>
    assert.equal(loadedWith("server/a.ts", new Map([["server/a.ts", text]])).has("server/b.ts"), expected));

test("every import follows an arrow, there is no circle, and production imports nothing of the workshop", async () => {
  const files = await filesOf(["bench", "db", "server", "sql"]);
  for (const file of files.keys()) if (!/\.[jt]s$/.test(file)) files.delete(file);
  const { dependencies, optionalDependencies } = JSON.parse(
    await readFile(new URL("package.json", ROOT), "utf8"),
  );
  const installed = [...Object.keys(dependencies), ...Object.keys(optionalDependencies)];
  assert.deepEqual(broken(files, installed), []);
});

test("no file of SQL has more than 350 lines: Biome counts those that it reads, and no SQL", async () => {
  const sql = [...(await filesOf(["bench", "db", "sql"]))].filter(([file]) => file.endsWith(".sql"));
  assert.ok(sql.length > 100);
  assert.deepEqual(
    sql.filter(([, text]) => text.split("\n").length - 1 > 350).map(([file]) => file),
    [],
  );
});

test("an image has nothing that only tests read", async () => {
  const files = await filesOf(["db", "server", "sql"]);
  for (const file of Object.values(FOR_PEOPLE).flat()) assert.ok(files.delete(file), `${file} is there`);
  assert.deepEqual(idle(files), []);
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
  ["server/http/a.ts", 'import.meta.resolve("tsx")', "server/http/a.ts imports tsx"],
  [
    "server/http/a.ts",
    'createRequire(import.meta.url).resolve("ajv/x.js")',
    "server/http/a.ts imports ajv/x.js",
  ],
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

for (const [file, text] of [
  ["server/api/document.json", "{}"],
  ["server/observability/rules.test.yml", ""],
  ["server/public/old.js", ""],
  ["sql/internal/old.sql", ""],
] as const)
  test(`read by tests alone: ${file}`, () => {
    const others: [string, string][] = [
      ["server/a.test.ts", `readFile("${posix.basename(file)}")`],
      ["server/README.md", `"${posix.basename(file)}"`],
      ["server/b.ts", ""],
    ];
    assert.deepEqual(idle(new Map([[file, text], ...others])), [file, "server/README.md"]);
    assert.deepEqual(
      idle(new Map([[file, text], ...others, ["server/c.ts", `at("${posix.basename(file)}")`]])),
      ["server/README.md"],
    );
  });
