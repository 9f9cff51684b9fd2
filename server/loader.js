/**
 * Runs TypeScript where Node.js does not do so itself (before 22.18): by amaro, which Node.js uses for that, too. It takes the types out
 * and leaves each line and column in its place. What came out is kept, since amaro takes half a second to load.
 */
import { hash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

const KEPT = new URL("../node_modules/.cache/typescript/", import.meta.url);

// Node.js calls load() in a thread of its own, which loads this file again.
if (isMainThread) register(import.meta.url);

/** @type {import("node:module").LoadHook} */
export async function load(url, context, next) {
  if (!/^file:.*\.ts(\?|$)/.test(url)) return next(url, context);
  const path = fileURLToPath(url);
  return { format: "module", source: await withoutTypes(path), shortCircuit: true };
}

/** @param {string} path */
async function withoutTypes(path) {
  const source = readFileSync(path, "utf8");
  const kept = new URL(`${hash("sha256", path)}.js`, KEPT);
  const mark = `\n// ${hash("sha256", source)}\n`;
  try {
    const code = readFileSync(kept, "utf8");
    if (code.endsWith(mark)) return code;
  } catch {}
  const { transformSync } = await import("amaro");
  const code = transformSync(source, { mode: "strip-only", filename: path }).code + mark;
  keep(kept, code);
  return code;
}

/**
 * Written aside, since other processes read it. Without a right to write nothing is kept.
 * @param {URL} file
 * @param {string} code
 */
function keep(file, code) {
  const aside = new URL(`${file}.${process.pid}`);
  try {
    mkdirSync(KEPT, { recursive: true });
    writeFileSync(aside, code);
    renameSync(aside, file);
  } catch {}
}
