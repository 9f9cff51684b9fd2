import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { temporaryDirectory } from "../bench/harness/temporary.ts";
import { TYPESCRIPT } from "./typescript.ts";

const skip = TYPESCRIPT.length === 0 && "skipped: needs a Node.js that does not run TypeScript by itself";

/** A checkout with nothing but the loader and one program, which `run` runs after it was written. */
async function checkout(t: TestContext) {
  const root = await temporaryDirectory();
  t.after(() => rm(root, { recursive: true }));
  const [server, modules] = [join(root, "server"), join(root, "node_modules")];
  for (const directory of [server, modules]) await mkdir(directory);
  await copyFile(new URL("./loader.js", import.meta.url), join(server, "loader.js"));
  await writeFile(join(root, "package.json"), '{ "type": "module" }');
  await symlink(fileURLToPath(new URL("../node_modules/amaro", import.meta.url)), join(modules, "amaro"));
  const program = join(server, "program.ts");
  const run = async (text: string) => {
    await writeFile(program, text);
    const args = ["--import", pathToFileURL(join(server, "loader.js")).href, program];
    return (await promisify(execFile)(process.execPath, args)).stdout.trim();
  };
  return { run, kept: join(modules, ".cache/typescript"), modules, program };
}

const says = (what: string) =>
  `interface A { a: string }\n  const { a }: A = { a: "${what}" }; console.log(a);`;

test("a program is what its file says now, and one of each file is kept", { skip }, async (t) => {
  const { run, kept } = await checkout(t);
  for (const what of ["one", "one", "two", "one"]) {
    assert.equal(await run(says(what)), what);
    assert.equal((await readdir(kept)).length, 1);
  }
});

test("an error tells its line and column of the file", { skip }, async (t) => {
  const { run, program } = await checkout(t);
  const stack = await run("type T =\n  string;\n  const a: T = new Error().stack as T; console.log(a);");
  assert.ok(stack.includes(`${program}:3:16`), stack);
});

test("where nothing can be kept, it runs all the same", { skip }, async (t) => {
  const { run, modules } = await checkout(t);
  await writeFile(join(modules, ".cache"), "no directory");
  assert.equal(await run(says("one")), "one");
});
