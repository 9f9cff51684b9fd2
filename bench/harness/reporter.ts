/**
 * What ./sd test says: a line for each file that has ended, each failure in full, and a summary in plain words. Its last line is
 * `N passed, N failed, N skipped`. The run fails when a test or a file failed, and when no test ran.
 *
 * It differs from node's own reporters in three ways: a `describe` that is skipped counts as skipped (Node 20 counts it as a suite
 * and nothing else), a file without a test counts as failed, and so does one that its process ended before.
 */

import { dirname, relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";
import type { Group } from "./groups.ts";

type Ended = Extract<TestEvent, { type: "test:pass" | "test:fail" }>["data"];

interface Details {
  duration_ms: number;
  passed: boolean;
  error?: Error;
}

interface Failure {
  /** The file, and the test's name unless the file itself failed. */
  what: string;
  file: string;
}

/** What is known of a file. */
interface Seen {
  /** Tests that passed, failed or were skipped. */
  tests: number;
  passed: number;
  ms: number;
  printed: string;
  /** The names of the tests that are under way, the outermost first. */
  underWay: string[];
  hasEnded: boolean;
}

interface Tally {
  /** Of all that were asked for, by name. */
  files: Map<string, Seen>;
  /** How many of them have ended. */
  ended: number;
  /** Why each process failed, if it did. */
  ends: Map<Group, Error | undefined>;
  failures: Failure[];
  /** The reasons why tests were skipped, with the tests. */
  skipped: Map<string, string[]>;
}

/**
 * Reads the events of node's run() of these modules, and sets the exit status of this process. Node reports starts, passes and failures
 * module by module, all else as it comes.
 */
export async function* report(
  source: AsyncIterable<TestEvent>,
  modules: ReadonlyMap<string, Group>,
): AsyncGenerator<string> {
  const began = performance.now();
  const names = [...modules.values()].flat();
  const tally: Tally = {
    files: new Map(
      names.map((name) => [name, { tests: 0, passed: 0, ms: 0, printed: "", underWay: [], hasEnded: false }]),
    ),
    ended: 0,
    ends: new Map(),
    failures: [],
    skipped: new Map(),
  };
  /** The file and the names of the tests around the next one, the outermost first, and its own. */
  const path: string[] = [];
  /** The file whose suite began last, by module. */
  const running = new Map<string | undefined, string>();
  for await (const { type, data } of source) {
    const module = data && "file" in data ? data.file : undefined;
    const group = modules.get(module ?? "");
    if (type === "test:start") path.splice(data.nesting, path.length, data.name);
    else if (type === "test:dequeue" && group && data.name !== module) running.set(module, data.name);
    else if (type === "test:stdout" || type === "test:stderr")
      seenOf(tally, running.get(module) ?? group?.[0]).printed += data.message;
    else if (type === "test:complete" && group && data.name === module)
      tally.ends.set(group, data.details.error);
    else if (type === "test:complete" && group && data.nesting === 0)
      yield fileEnded(tally, data.name, data.details);
    else if ((type === "test:dequeue" || type === "test:complete") && !group && module)
      tally.files
        .get(relative("", module))
        ?.underWay.splice(data.nesting - 1, Infinity, ...(type === "test:dequeue" ? [data.name] : []));
    else if ((type === "test:pass" || type === "test:fail") && !modules.has(data.name))
      yield testEnded(tally, path.slice(0, data.nesting).concat(data.name), data);
  }
  for (const [group, error] of tally.ends) yield* processEnded(tally, group, error);
  const passed = [...tally.files.values()].reduce((sum, file) => sum + file.passed, 0);
  if (passed === 0 || tally.failures.length > 0) process.exitCode = 1;
  yield* summaryOf(tally, passed);
  const took = seconds(performance.now() - began).trim();
  yield `\n${names.length} ${names.length === 1 ? "file" : "files"} in ${took}\n`;
  const skips = [...tally.skipped.values()].flat().length;
  yield `${passed} passed, ${tally.failures.length} failed, ${skips} skipped\n`;
}

function seenOf({ files }: Tally, name: string | undefined): Seen {
  const seen = files.get(`${name}`);
  if (!seen) throw new Error(`an event of ${name}, which is no file of this run`);
  return seen;
}

function fileEnded(tally: Tally, name: string, { duration_ms, passed }: Details): string {
  seenOf(tally, name).ms = duration_ms;
  tally.ended += 1;
  const all = `${tally.files.size}`;
  const count = `${tally.ended}`.padStart(all.length);
  return `${count}/${all}  ${seconds(duration_ms)}  ${name}${passed ? "" : "  FAILED"}\n`;
}

/** A test, or a suite; that of a file is the outermost. */
function testEnded(tally: Tally, path: readonly string[], test: Ended): string {
  const [file = ""] = path;
  const seen = seenOf(tally, file);
  const what = path.join(" › ");
  const error = "error" in test.details ? test.details.error : undefined;
  const { skip = false, todo = false } = test;
  if (error && kindOf(error) === "testAborted") return ""; // the run was stopped, which its exit status says
  if (path.length === 1) {
    seen.hasEnded = true;
    if (!error && seen.tests === 0) return failed(tally, what, file, "There is no test in this file.");
  }
  if (skip !== false || todo !== false) {
    const why = [skip, todo].find((reason) => typeof reason === "string" && reason !== "");
    const reason = `${why ?? "no reason is given"}`;
    tally.skipped.set(reason, [...(tally.skipped.get(reason) ?? []), what]);
    seen.tests += 1;
  } else if (error) {
    seen.tests += 1;
    // Failed subtests have been reported before.
    if (kindOf(error) !== "subtestsFailed") return failed(tally, what, file, explained(error));
  } else if (test.details.type !== "suite") {
    seen.tests += 1;
    seen.passed += 1;
  }
  return "";
}

/** Says so if a process ended before its files did, or failed after them. */
function* processEnded(tally: Tally, files: Group, error: Error | undefined): Generator<string> {
  const kind = error && kindOf(error);
  const left = files.filter((file) => !seenOf(tally, file).hasEnded);
  if (kind === "testAborted" || (left.length === 0 && (!error || kind === "subtestsFailed"))) return;
  const [last = "", ...others] = left.length > 0 ? left : files.slice(-1);
  const { underWay, printed } = seenOf(tally, last);
  const where = underWay.length > 0 ? `It was in: ${underWay.join(" › ")}\n` : "";
  yield failed(tally, last, last, `${endOf(error)}\n${where}${printed}`);
  for (const file of others) yield failed(tally, file, file, "It did not run: the process had ended.");
}

function failed({ failures }: Tally, what: string, file: string, why: string): string {
  failures.push({ what, file });
  return `\nFAILED  ${what}\n${indented(why)}\n\n`;
}

/** What failing files printed, the time of each folder, what was skipped and why, and what failed. */
function* summaryOf({ files, failures, skipped }: Tally, passed: number): Generator<string> {
  for (const name of new Set(failures.filter(({ what, file }) => what !== file).map(({ file }) => file))) {
    const text = files.get(name)?.printed;
    if (text) yield `\n${name} printed:\n${indented(text)}\n`;
  }
  const folders = new Map<string, { files: number; tests: number; ms: number }>();
  for (const [name, { passed, ms }] of files) {
    const folder = folders.get(dirname(name)) ?? { files: 0, tests: 0, ms: 0 };
    folders.set(dirname(name), { files: folder.files + 1, tests: folder.tests + passed, ms: folder.ms + ms });
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

/** How a process ended. */
function endOf(error: Error | undefined): string {
  const { exitCode, signal } = (error ?? {}) as { exitCode?: number; signal?: string };
  if (signal) return `The process was ended by ${signal}.`;
  if (exitCode) return `The process ended with exit status ${exitCode}.`;
  return error && kindOf(error) !== "subtestsFailed" ? error.message : "The process ended early.";
}

function explained(error: Error): string {
  return `${kindOf(error) === "hookFailed" ? `${error.message}\n` : ""}${inFull(error.cause ?? error)}`;
}

/** The message and the stack with all causes, without the lines of node and of packages. */
function inFull(thrown: unknown): string {
  // An error that has a function with an own property in it, say, comes as an object that nothing turns into a text.
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? thrown : inspect(thrown);
  const { message, stack = "", cause, errors = [] } = thrown as Error & { errors?: unknown[] };
  const own = (stack.includes(message) ? stack : `${message}\n${stack}`)
    .split("\n")
    .filter((line) => !/^\s+at .*(node:|\/node_modules\/)/.test(line));
  return [...own, ...errors.map(inFull), ...(cause === undefined ? [] : [`caused by ${inFull(cause)}`])].join(
    "\n",
  );
}
