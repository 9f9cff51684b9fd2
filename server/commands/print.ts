/** What ./sd prints: lines, entries of a list, and a table of rows as psql draws it. */

/** `./sd status | head -3`: the reader is gone, which is no error of ours. The work goes on without it, and cleans up after itself. */
export function outliveReader(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: { code?: string }) => {
      if (error.code !== "EPIPE") throw error;
    });
}

export const say = (line: string) => console.log(line);

/** What is not the answer: another command may read that, `$(./sd token --till north-3)`. */
export const remark = (line: string) => console.error(line);

/** Prints a name and what is to be said of it. */
export type Entry = (name: string, words: string) => void;

export const entry: Entry = (name, words) => say(`${name.padEnd(11)} ${words}`.trimEnd());

/** Control characters, and those that turn the direction of writing: they could forge rows, or move the cursor of a terminal. */
const UNSEEN = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** What somebody else wrote, so that a terminal shows it and does nothing. */
export const shown = (text: string) =>
  text.replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** How many there are, as a number or as it is written: "1 row", "2 rows". */
export const counted = (n: number | string, one: string, many = `${one}s`) =>
  `${n} ${`${n}` === "1" ? one : many}`;

/** The values as PostgreSQL writes them, without what a terminal would obey. */
export function printTable(columns: string[], rows: (Buffer | null)[][]): void {
  const names = columns.map(shown);
  const cells = rows.map((row) => row.map((value) => shown(value?.toString() ?? "")));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: string[]) =>
    row
      .map((cell, i) => ` ${cell.padEnd(widths[i] ?? 0)} `)
      .join("|")
      .trimEnd();
  if (names.length > 0) {
    say(line(names));
    say(widths.map((width) => "-".repeat(width + 2)).join("+"));
    for (const row of cells) say(line(row));
  }
  say(`(${counted(rows.length, "row")})`);
}
