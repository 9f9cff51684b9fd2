/**
 * Imports and lists as streams of JSON lines (NDJSON) of any length. They read, and query the database, only as fast as the client reads.
 * They hold one batch at a time, and no database connection while the client reads or writes. The status is sent before the first
 * line, so the last line says how the stream ended; a stream without it was cut off.
 *
 * Lines are split here, not by split2 (4.2.0): beyond its maxLength that ends the stream or leaves the line out without a word, and
 * it decodes before anybody can ask whether a line is UTF-8. Here a line that is too long, or is none, is answered as invalid.
 */
import { isUtf8 } from "node:buffer";
import { ReadableStream } from "node:stream/web";
import type { z } from "zod";
import type { AnswerOf } from "../api/contract-types.ts";
import { parseExact, repeatsMember } from "../api/exact.ts";
import { newUser } from "../api/requests.ts";
import { asProblem, invalidRequest, Problem } from "./problem.ts";

type User = z.infer<typeof newUser>;

/** Turns an error into the problem that the client gets; the caller can also log it here. */
type ToProblem = (error: unknown) => Problem;

type Imported = AnswerOf<"importUsers">["users"][number];

/** Lines in one call of import_users(). Ten times as many are not faster, and block this process ten times as long. */
const MAX_BATCH = 1_000;
const MAX_LINE_BYTES = 4096;
const BYTE_ORDER_MARK = Buffer.from("\ufeff");

/**
 * Imports one user per line, {"user_id": 1, "display_name": "Ann"}, and answers each line that is not blank, in order:
 * {"line":1,"outcome":"created","user_id":1}, or outcome invalid with a detail; the other lines are still imported. The last line has
 * outcome "done" and the counts, or what went wrong (for example `outcome_unknown` or `draining`) and next_line: all lines before it
 * were imported, and the client sends again from there on, or everything.
 */
export function importLines(
  input: ReadableStream<Uint8Array>,
  importUsers: (users: User[]) => Promise<readonly Imported[]>,
  { isDraining, toProblem = asProblem }: { isDraining: () => boolean; toProblem?: ToProblem },
): ReadableStream<Uint8Array> {
  async function* answers(): AsyncGenerator<object[]> {
    const counts = { created: 0, updated: 0, unchanged: 0, forgotten: 0, invalid: 0 };
    let lines = 0;
    for await (const batch of oneAhead(batchesOf(input))) {
      let imported: Iterator<Imported>;
      try {
        if (isDraining()) throw new Problem("draining");
        const users = [...batch.users.values()];
        imported = (users.length > 0 ? await importUsers(users) : []).values();
      } catch (error) {
        const { outcome, detail } = toProblem(error).members;
        yield [{ outcome, detail, next_line: lines + 1 }];
        return;
      }
      yield batch.rows.map(({ line, detail }) => {
        const { outcome, ...rest } =
          detail === undefined
            ? (imported.next().value as Imported)
            : { outcome: "invalid" as const, detail };
        counts[outcome] += 1;
        return { line, outcome, ...rest };
      });
      lines = batch.lines;
    }
    yield [{ outcome: "done", lines, ...counts }];
  }
  return encoded(answers());
}

/** Rows of a list that are read at once. */
const PAGE = 10_000;

/** All rows after a key, page by page: page(after), then page(the key of the last row), until a page is empty. */
export async function* pagesOf<Row>({ page, keyOf, after = 0 }: Rows<Row>): AsyncGenerator<readonly Row[]> {
  for (let from = after; ; ) {
    const rows = await page(from, PAGE);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    from = keyOf(last);
  }
}

/** The rows of a list. */
export interface Rows<Row> {
  page: (after: number, size: number) => Promise<readonly Row[]>;
  keyOf: (row: Row) => number;
  after?: number;
}

/**
 * Lists rows, one per line. The last line has outcome "done" and the count, or what went wrong and next_after, from which to continue.
 */
export function exportLines<Row extends object>(
  listed: Rows<Row>,
  toProblem: ToProblem = asProblem,
): ReadableStream<Uint8Array> {
  async function* lines(): AsyncGenerator<readonly object[]> {
    let next_after = listed.after ?? 0;
    let count = 0;
    try {
      for await (const rows of pagesOf(listed)) {
        yield rows;
        next_after = listed.keyOf(rows.at(-1) as Row);
        count += rows.length;
      }
    } catch (error) {
      const { outcome, detail } = toProblem(error).members;
      yield [{ outcome, detail, next_after }];
      return;
    }
    yield [{ outcome: "done", lines: count }];
  }
  return encoded(lines());
}

/** The users of one call, and the invalid lines between them. */
interface Batch {
  rows: { line: number; detail: string | undefined }[];
  /** By user_id. import_users() takes each only once a call, so a line that repeats one begins the next batch. */
  users: Map<number, User>;
  /** Lines read so far, including blank ones. */
  lines: number;
}

async function* batchesOf(input: ReadableStream<Uint8Array>): AsyncGenerator<Batch> {
  let lines = 0;
  let batch: Batch = { rows: [], users: new Map(), lines };
  for await (const complete of linesOf(input)) {
    for (const bytes of complete) {
      const read = readLine(lines === 0 ? withoutMark(bytes) : bytes);
      if (batch.rows.length === MAX_BATCH || (read?.user && batch.users.has(read.user.user_id))) {
        yield batch;
        batch = { rows: [], users: new Map(), lines };
      }
      lines += 1;
      batch.lines = lines;
      if (read === undefined) continue;
      const { user, detail } = read;
      if (user) batch.users.set(user.user_id, user);
      batch.rows.push({ line: lines, detail });
    }
  }
  yield batch;
}

/** Reads the next batch while the database works on the last one. */
async function* oneAhead<Item>(items: AsyncGenerator<Item>): AsyncGenerator<Item> {
  const ask = () => {
    const asked = items.next();
    asked.catch(() => {}); // handled where it is awaited, if it is
    return asked;
  };
  try {
    for (let asked = await ask(); !asked.done; ) {
      const next = ask();
      yield asked.value;
      asked = await next;
    }
  } finally {
    // Not awaited: a client that waits for our last line before it sends more would deadlock with us.
    items.return(undefined).catch(() => {});
  }
}

/** The lines that end in each chunk. Of a line that is too long, only so much is kept as shows that it is. */
async function* linesOf(input: ReadableStream<Uint8Array>): AsyncGenerator<Buffer[]> {
  let begun = Buffer.alloc(0);
  for await (const chunk of input) {
    const bytes = Buffer.concat([begun, chunk]);
    const lines: Buffer[] = [];
    let from = 0;
    for (let to = bytes.indexOf("\n"); to !== -1; to = bytes.indexOf("\n", from)) {
      lines.push(bytes.subarray(from, to));
      from = to + 1;
    }
    begun = bytes.subarray(from, from + MAX_LINE_BYTES + 1);
    yield lines;
  }
  if (begun.length > 0) yield [begun];
}

/** Editors and spreadsheets on Windows write a byte order mark at the head of a file. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? bytes.subarray(3) : bytes;
}

/** The user, or why the line is not valid; undefined for a blank line. */
function readLine(
  bytes: Buffer,
): { user: User; detail?: never } | { user?: never; detail: string } | undefined {
  if (bytes.length > MAX_LINE_BYTES) return { detail: `the line: must have at most ${MAX_LINE_BYTES} bytes` };
  if (!isUtf8(bytes)) return { detail: "the line: must be UTF-8" };
  const text = bytes.toString();
  if (text.trim() === "") return undefined;
  let given: unknown;
  try {
    given = parseExact(text);
  } catch {
    return { detail: "the line: must be JSON" };
  }
  if (repeatsMember(text, given)) return { detail: "the line: must not have a member twice" };
  const parsed = newUser.safeParse(given, { reportInput: true });
  if (parsed.success) return { user: parsed.data };
  return { detail: invalidRequest(parsed.error, "the line").members.detail };
}

/** Requests the next lines when the client has taken the last ones. */
function encoded(chunks: AsyncGenerator<readonly object[]>): ReadableStream<Uint8Array> {
  async function* bytes() {
    for await (const lines of chunks)
      yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }
  return ReadableStream.from(bytes());
}
