/**
 * How far something long has come: a bar on a terminal, a line now and then anywhere else. Ours, because cli-progress 3.12.0 (six
 * packages) prints bars into a log too, by the clock and not by tenths, and knows neither CI nor NO_COLOR.
 */

/** What is written to: process.stdout, or a test's. */
export interface Screen {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** So many of a total are done. */
export type Report = (done: number, total: number) => void;

const BAR = 30;
/** Without a terminal: a line for each tenth, and one at least this often. */
const QUIET_MS = 5_000;

/**
 * Runs `work` and shows what it reports, as "12,000 of 100,000 users". The bar is gone when it ends, however that is; lines go to
 * `say` and stay. No bar where the environment says so: CI, NO_COLOR, TERM=dumb.
 */
export async function withProgress<T>(
  what: string,
  say: (line: string) => void,
  work: (report: Report) => Promise<T>,
  screen: Screen = process.stdout,
  env: NodeJS.ProcessEnv = process.env,
): Promise<T> {
  const isPlain = !screen.isTTY || env["CI"] || env["NO_COLOR"] || env["TERM"] === "dumb";
  if (isPlain) return work(lines(what, say));
  try {
    return await work(
      (done, total) => void screen.write(`\r${bar(what, done, total, screen.columns || 80)}`),
    );
  } finally {
    screen.write("\r\x1b[K");
  }
}

const said = (what: string, done: string, total: number) =>
  `${done} of ${total.toLocaleString("en")} ${what}`;

/** Always as long, so that the next one covers it; never in the screen's last column, where the cursor would wrap. */
function bar(what: string, done: number, total: number, columns: number): string {
  const percent = `${Math.floor((100 * done) / total)} %`.padStart(5);
  const count = done.toLocaleString("en").padStart(total.toLocaleString("en").length);
  const words = `${percent} ${said(what, count, total)}`;
  const width = Math.min(BAR, columns - 1 - words.length - 1);
  if (width < 3) return words.slice(0, columns - 1);
  const full = Math.floor((width * done) / total);
  return `${"█".repeat(full)}${"░".repeat(width - full)} ${words}`;
}

function lines(what: string, say: (line: string) => void): Report {
  let tenths = 0;
  let saidAt = performance.now();
  return (done, total) => {
    const now = performance.now();
    const reached = Math.floor((10 * done) / total);
    if (reached <= tenths && now - saidAt < QUIET_MS) return;
    [tenths, saidAt] = [reached, now];
    say(said(what, done.toLocaleString("en"), total));
  };
}
