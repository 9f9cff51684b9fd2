/** Every relative link in a Markdown file leads to a file of the repository and, with a fragment, to a heading in it. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);
/** The Markdown files in this folder, by their names from ROOT. */
function markdownIn(folder: string): string[] {
  return readdirSync(new URL(folder, ROOT), { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory())
      return /^(node_modules|\..*)$/.test(entry.name) ? [] : markdownIn(`${folder}${entry.name}/`);
    return entry.name.endsWith(".md") ? [folder + entry.name] : [];
  });
}

/** What remains of a text without its code blocks. */
const prose = (text: string) => text.replace(/^```.*?^```$/gms, "");

/** The fragments of the headings, as GitHub makes them. */
function fragments(text: string): string[] {
  const headings = [...prose(text).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );
}

/** The links that lead nowhere. */
function broken(file: URL, text: string): string[] {
  const links = [
    ...prose(text)
      .replace(/`[^`\n]*`/g, "")
      .matchAll(/\]\(([^)\s]+)\)/g),
  ].map(([, link = ""]) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const target = new URL(link, file);
    const fragment = decodeURIComponent(target.hash.slice(1));
    target.hash = "";
    if (!existsSync(target)) return true;
    return fragment !== "" && !fragments(readFileSync(target, "utf8")).includes(fragment);
  });
}

for (const name of markdownIn("./"))
  test(name, () => {
    const file = new URL(name, ROOT);
    assert.deepEqual(broken(file, readFileSync(file, "utf8")), []);
  });

test("README.md is a door: at most 220 lines, and the manuals have the rest", () => {
  const lines = readFileSync(new URL("README.md", ROOT), "utf8").trimEnd().split("\n").length;
  assert.ok(lines <= 220, `${lines} lines`);
});

test("broken links are found", () => {
  const text =
    "[a](server/README.md#calls) [b](https://example.org) [c](nowhere.md) [d](README.md#nowhere) `[e](f)`";
  assert.deepEqual(broken(new URL("README.md", ROOT), text), ["nowhere.md", "README.md#nowhere"]);
});
