/**
 * Which test files share a process. To start one, with what tests import, costs up to two seconds of CPU, more than most files' own
 * tests. The short files are therefore dealt out to a few processes, in which they run one after the other; a long one has a process of its own.
 */
import { statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Bytes of test files in one process, about: small enough that no process runs alone at the end. */
const SHARE = 140_000;

/** The files of one process, in the order in which they run. */
export type Group = readonly string[];

/** Small files whose tests take minutes: their size does not tell. */
export const LONGEST = [
  "bench/faults/faults.long.test.ts",
  "bench/fuzz/fuzz.long.test.ts",
  "bench/faults/planted.long.test.ts",
  "bench/compare/compare.long.test.ts",
  "server/commands/cluster.long.test.ts",
  "sql/model.long.test.ts",
];

/** Groups with the longest first, so that none runs alone at the end. Nobody knows how long one takes; its name and its size tell roughly. */
export function groupsOf(files: readonly string[]): Group[] {
  const sizes = new Map(files.map((file) => [file, statSync(file).size]));
  const bySize = [...sizes].sort(([, a], [, b]) => b - a);
  const ranked = (rank: number) => bySize.filter(([file]) => rankOf(file) === rank);
  const [longest, long, short] = [ranked(0), ranked(1), ranked(2)];
  const alone = [...longest, ...long].map(([file]) => [file]);
  const all = short.reduce((sum, [, bytes]) => sum + bytes, 0);
  const shared = Array.from({ length: Math.ceil((all + 1) / SHARE) }, () => ({ bytes: 0, files: new Set() }));
  for (const [file, bytes] of short) {
    const least = shared.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.files.add(file);
    least.bytes += bytes;
  }
  const together = shared.map((group) => [...sizes.keys()].filter((file) => group.files.has(file)));
  return [...alone, ...together.filter((group) => group.length > 0)];
}

/** Which begin first. */
function rankOf(file: string): number {
  if (LONGEST.includes(file)) return 0;
  return file.endsWith(".long.test.ts") ? 1 : 2;
}

/**
 * Runs `work` with a module for each group. In it each file is a suite with the file's name, so that hooks at the top of a file are its
 * own. Node 22.8 has `isolation: "none"`, in which all files share them. A signal, which the runner sends when it gets one and where a group
 * takes too long, ends what they have started.
 */
export async function withModules<T>(
  groups: readonly Group[],
  work: (modules: ReadonlyMap<string, Group>) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "tests-"));
  try {
    const modules = new Map(groups.map((group, i) => [join(directory, `${i}.mjs`), group]));
    for (const [path, files] of modules) await writeFile(path, moduleOf(files));
    return await work(modules);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function moduleOf(files: Group): string {
  const suites = files.map((file) => {
    const url = pathToFileURL(resolve(file)).href;
    return `await describe(${JSON.stringify(file)}, () => import(${JSON.stringify(url)}));\n`;
  });
  const cleanup = import.meta.resolve("./cleanup.ts");
  return `import { describe } from "node:test";
import { cleanUpOnSignals } from ${JSON.stringify(cleanup)};
cleanUpOnSignals();
${suites.join("")}`;
}
