/** Blocks of a Markdown file that code makes: the lines between `<!-- name -->` and `<!-- /name -->`. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

/** The lines of the block, without its markers. */
export function readBlock(file: URL, name: string): string {
  const text = readFileSync(file, "utf8");
  const { from, to } = placeOf(text, name);
  return text.slice(from, to);
}

/** The code in the block, without its fence. */
export function readCode(file: URL, name: string): string {
  const [, code] = readBlock(file, name).match(/^ *```\w+\n(.*?)^ *```$/ms) ?? [];
  if (code === undefined) throw new Error(`no code in block ${name} of ${file.pathname}`);
  return code;
}

/** The text with other lines in the block. */
export function withBlock(text: string, name: string, lines: string): string {
  const { from, to } = placeOf(text, name);
  return `${text.slice(0, from)}${lines.trim()}\n${text.slice(to)}`;
}

export function writeBlock(file: URL, name: string, lines: string): void {
  writeFileSync(file, withBlock(readFileSync(file, "utf8"), name, lines));
}

/** Asserts that the block has these lines. With UPDATE_README=1 it writes them instead. */
export function checkBlock(file: URL, name: string, lines: string): void {
  if (process.env["UPDATE_README"]) writeBlock(file, name, lines);
  const text = readFileSync(file, "utf8");
  const updated = withBlock(text, name, lines);
  assert.equal(text, updated, `${file.pathname}, block ${name}: UPDATE_README=1 writes what is true`);
}

function placeOf(text: string, name: string): { from: number; to: number } {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [at, to] = [text.indexOf(begin), text.indexOf(end)];
  if (at < 0 || to < at) throw new Error(`no block ${begin.trim()} … ${end}`);
  return { from: at + begin.length, to };
}
