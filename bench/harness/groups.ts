/**
 * Which test files share a process. To start one, with what tests import, costs up to two seconds of CPU, more than most files' own
 * tests. The short files of a folder therefore run one after the other in one process; a long one has a process of its own.
 */
import { statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Bytes of test files in one process: small enough that no process runs alone at the end. */
const SHARE = 200_000;

export interface Group {
  /** The files as a shell would expand them: folder/{a,b}.test.ts. */
  name: string;
  folder: string;
  files: readonly string[];
}

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
  const shared = new Map<string, { files: string[]; bytes: number }>();
  const groups: { files: string[]; bytes: number }[] = [];
  for (const file of new Set(files)) {
    const bytes = statSync(file).size;
    const isLong = file.endsWith(".long.test.ts");
    let group = isLong ? undefined : shared.get(dirname(file));
    if (group === undefined || group.bytes + bytes > SHARE) {
      group = { files: [], bytes: LONGEST.includes(file) ? 2e9 : isLong ? 1e9 : 0 };
      groups.push(group);
      if (!isLong) shared.set(dirname(file), group);
    }
    group.files.push(file);
    group.bytes += bytes;
  }
  return groups.toSorted((a, b) => b.bytes - a.bytes).map(({ files }) => groupOf(files));
}

export function groupOf(files: readonly string[]): Group {
  const [first = ""] = files;
  const names = files.map((file) => basename(file, ".test.ts"));
  const name = files.length === 1 ? first : join(dirname(first), `{${names.join(",")}}.test.ts`);
  return { name, folder: dirname(first), files };
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
    for (const [path, { files }] of modules) await writeFile(path, moduleOf(files));
    return await work(modules);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function moduleOf(files: readonly string[]): string {
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
