/**
 * What ./sd test says: a line for each file that has ended, each failure in full, and a summary in plain words. Its last line
 * is `N passed, N failed, N skipped`. The run fails when a test or a file failed, and when no test ran.
 *
 * It differs from node's own reporters in two counts: a `describe` that is skipped counts as skipped (Node 20 counts it as a
 * suite and nothing else), and a file without a test counts as failed.
 */
import { dirname, relative, resolve } from "node:path";
import type { TestEvent } from "node:test/reporters";

type Ended = Extract<TestEvent, { type: "test:pass" | "test:fail" }>["data"];

interface Failure {
  /** The file, and the test's name unless the file itself failed. */
  what: string;
  file: string;
}

interface Tally {
  files: Set<string>;
  ended: number;
  passed: number;
  failures: Failure[];
  /** The reasons why tests were skipped, with the tests. */
  skipped: Map<string, string[]>;
  folders: Map<string, { files: number; tests: number; ms: number }>;
  /** What each file printed. */
  printed: Map<string, string>;
}

/** Reads the events of node's run(), and sets the exit status of this process. */
export async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const began = performance.now();
  const tally: Tally = {
    files: new Set(),
    ended: 0,
    passed: 0,
    failures: [],
    skipped: new Map(),
    folders: new Map(),
    printed: new Map(),
  };
  /** The names of the tests around the next one, the outermost first, and its own. */
  const names: string[] = [];
  for await (const { type, data } of source) {
    const file = nameOf(data && "file" in data ? data.file : undefined);
    if (type === "test:enqueue" && isFile(data)) tally.files.add(file);
    else if (type === "test:start") names.splice(data.nesting, names.length, data.name);
    else if (type === "test:stdout" || type === "test:stderr")
      tally.printed.set(file, (tally.printed.get(file) ?? "") + data.message);
    else if (type === "test:complete" && isFile(data)) yield fileEnded(tally, file, data.details);
    else if (type === "test:pass" || type === "test:fail") yield testEnded(tally, file, names, data);
  }
  if (tally.passed === 0 || tally.failures.length > 0) process.exitCode = 1;
  yield* summaryOf(tally);
  const took = seconds(performance.now() - began).trim();
  yield `\n${tally.files.size} ${tally.files.size === 1 ? "file" : "files"} in ${took}\n`;
  const skips = [...tally.skipped.values()].flat().length;
  yield `${tally.passed} passed, ${tally.failures.length} failed, ${skips} skipped\n`;
}

const nameOf = (path: string | undefined) => (path ? relative(process.cwd(), path) : "?");

/** The entry that node makes for each file, which is no test. */
function isFile({ name, nesting, file }: { name: string; nesting: number; file?: string }): boolean {
  return nesting === 0 && file !== undefined && resolve(name) === file;
}

function folderOf({ folders }: Tally, file: string) {
  const name = dirname(file);
  const folder = folders.get(name) ?? { files: 0, tests: 0, ms: 0 };
  folders.set(name, folder);
  return folder;
}

function fileEnded(
  tally: Tally,
  file: string,
  { duration_ms, passed }: { duration_ms: number; passed: boolean },
): string {
  const folder = folderOf(tally, file);
  folder.files += 1;
  folder.ms += duration_ms;
  tally.ended += 1;
  const all = `${tally.files.size}`;
  const count = `${tally.ended}`.padStart(all.length);
  return `${count}/${all}  ${seconds(duration_ms)}  ${file}${passed ? "" : "  FAILED"}\n`;
}

function testEnded(tally: Tally, file: string, names: readonly string[], test: Ended): string {
  // Without the line number: node gives that of the JavaScript which tsx made.
  const what = isFile(test)
    ? file
    : `${file} › ${names.slice(0, test.nesting).concat(test.name).join(" › ")}`;
  const error = "error" in test.details ? test.details.error : undefined;
  const { skip = false, todo = false } = test;
  if (error && kindOf(error) === "testAborted") return ""; // the run was stopped, which its exit status says
  if (isFile(test) && !error) return failed(tally, what, file, "There is no test in this file.");
  if (isFile(test)) return failed(tally, what, file, `${endOf(error)}\n${tally.printed.get(file) ?? ""}`);
  if (skip !== false || todo !== false) {
    const why = [skip, todo].find((reason) => typeof reason === "string" && reason !== "");
    const reason = `${why ?? "no reason is given"}`;
    tally.skipped.set(reason, [...(tally.skipped.get(reason) ?? []), what]);
  } else if (error) {
    // Failed subtests have been reported before.
    if (kindOf(error) !== "subtestsFailed") return failed(tally, what, file, explained(error));
  } else if (test.details.type !== "suite") {
    tally.passed += 1;
    folderOf(tally, file).tests += 1;
  }
  return "";
}

function failed({ failures }: Tally, what: string, file: string, why: string): string {
  failures.push({ what, file });
  return `\nFAILED  ${what}\n${indented(why)}\n\n`;
}

/** What failing files printed, the time of each folder, what was skipped and why, and what failed. */
function* summaryOf({ passed, failures, skipped, folders, printed }: Tally): Generator<string> {
  for (const file of new Set(failures.filter(({ what, file }) => what !== file).map(({ file }) => file))) {
    const text = printed.get(file);
    if (text) yield `\n${file} printed:\n${indented(text)}\n`;
  }
  const width = Math.max("folder".length, ...[...folders.keys()].map((name) => name.length));
  const row = (name: string, ...cells: string[]) =>
    `${name.padEnd(width)}${cells.map((cell) => cell.padStart(9)).join("")}\n`;
  yield `\n${row("folder", "files", "passed", "time")}`;
  for (const [name, { files, tests, ms }] of [...folders].sort(([, a], [, b]) => b.ms - a.ms))
    yield row(name, `${files}`, `${tests}`, seconds(ms));
  const list = (lines: string[]) => lines.map((line) => `  ${line}\n`).join("");
  for (const [why, tests] of skipped) yield `\nskipped: ${why}\n${list(tests)}`;
  if (failures.length > 0) yield `\nfailed:\n${list(failures.map(({ what }) => what))}`;
  else if (passed === 0) yield "\nNo test ran.\n";
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`.padStart(7);

const indented = (text: string) => text.trimEnd().replace(/^(?=.)/gm, "    ");

/** Node wraps what a test threw: a kind of failure, and what was thrown as the cause. */
const kindOf = (error: Error) => (error as { failureType?: string }).failureType;

/** How a file's process ended. */
function endOf(error: Error | undefined): string {
  const { exitCode, signal } = error as { exitCode?: number; signal?: string };
  if (signal) return `The process was ended by ${signal}.`;
  return exitCode ? `The process ended with exit status ${exitCode}.` : `${error?.message}`;
}

function explained(error: Error): string {
  return `${kindOf(error) === "hookFailed" ? `${error.message}\n` : ""}${inFull(error.cause ?? error)}`;
}

/** The message and the stack with all causes, without the lines of node and of packages. */
function inFull(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { message, stack = "", cause, errors = [] } = thrown as Error & { errors?: unknown[] };
  const own = (stack.includes(message) ? stack : `${message}\n${stack}`)
    .split("\n")
    .filter((line) => !/^\s+at .*(node:|\/node_modules\/)/.test(line));
  return [...own, ...errors.map(inFull), ...(cause === undefined ? [] : [`caused by ${inFull(cause)}`])].join(
    "\n",
  );
}
