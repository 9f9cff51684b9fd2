/**
 * Lists as CSV (RFC 4180): UTF-8 without a byte order mark, a header line, CRLF. What is missing is an empty cell.
 *
 * A spreadsheet takes a cell that begins with = + - @ for a formula, and a formula can send what stands beside it to somebody. Names
 * and references are other people's texts. So a text that begins like this, or with an apostrophe, gets an apostrophe in front (as OWASP
 * advises): nothing is lost, since whoever reads takes one apostrophe away. The same behind a semicolon, a tab and a line end, at which a
 * spreadsheet with other separators than ours ends a cell, whatever is quoted: in much of Europe Excel has the semicolon.
 *
 * Ours for that reason: csv-stringify (escape_formulas) leaves a text that begins with an apostrophe as it is, so what it adds cannot be
 * told from what was there.
 */
import { ReadableStream } from "node:stream/web";

/** Also behind white space, which some spreadsheets drop, and the wide forms of these characters. */
const BEFORE_A_FORMULA = /^(?=[\t\r\n])|(?<=^|[;\t\n]|\r(?!\n))(?='|\s*[=+\-@＝＋－＠])/g;
const TO_QUOTE = /[",;\t\r\n]/;

/** A row that a table has for each column. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(cellOf).join(",")}\r\n`;
}

function cellOf(cell: string | number | null): string {
  if (typeof cell !== "string") return `${cell ?? ""}`;
  const text = cell.replace(BEFORE_A_FORMULA, "'");
  return TO_QUOTE.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Rows as CSV, as fast as the client reads. It has no last line that could say how it ended. So a failure before the first row rejects,
 * and the answer can be a problem; `breakOff` breaks the connection at a later one, or throws.
 */
export async function exportCsv<Row extends object>(
  columns: readonly (keyof Row & string)[],
  pages: AsyncGenerator<readonly Row[]>,
  breakOff: (error: unknown) => void,
): Promise<ReadableStream<Uint8Array>> {
  const textOf = (rows: readonly Row[]) =>
    rows.map((row) => csvLine(columns.map((name) => row[name] as string | number | null))).join("");
  const first = await pages.next();
  async function* bytes() {
    yield Buffer.from(csvLine(columns) + textOf(first.value ?? []));
    try {
      for await (const rows of pages) yield Buffer.from(textOf(rows));
    } catch (error) {
      breakOff(error);
    }
  }
  return ReadableStream.from(bytes());
}
