/**
 * Pages that watch: connections to the event stream, in a process of their own. It is told "reset", and answers "report" with how
 * far each was behind since then.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";

export interface Watched {
  /** Streams that are open. */
  open: number;
  events: number;
  /** How old what each saw became, before the next state came, ms, ascending: the oldest of each. */
  behind: number[];
}

export interface Watchers {
  reset(): void;
  report(): Promise<Watched>;
  close(): Promise<unknown>;
}

/** Resolves when all have seen a state. */
export async function startWatchers(url: string, count: number): Promise<Watchers> {
  const child = fork(fileURLToPath(import.meta.url), [url, String(count)]);
  const told = () =>
    new Promise<Watched>((resolve, reject) => {
      child.once("message", (report) => resolve(report as Watched));
      child.once("exit", () => reject(new Error("the pages that watch have ended")));
    });
  await told();
  return {
    reset: () => void child.send("reset"),
    report() {
      child.send("report");
      return told();
    },
    async close() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}

interface Watcher {
  /** When the state that it saw last was read, by this machine's clock. */
  seen: number;
  oldest: number;
  isOpen: boolean;
}

/** So many connect at a time, so that no listen queue overflows. */
const AT_ONCE = 200;

async function watch(url: string, count: number): Promise<void> {
  const { hostname, port } = new URL(url);
  const all: Watcher[] = [];
  let events = 0;

  const open = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      const watcher = { seen: Number.NaN, oldest: 0, isOpen: true };
      all.push(watcher);
      socket.on("data", (part) => {
        // The database's clock is this machine's. An event comes in one piece nearly always, and its end names the time.
        const at = part.lastIndexOf('"server_time":"');
        if (at < 0) return;
        events += 1;
        const read = Date.parse(part.toString("latin1", at + 15, at + 39).replace(/\d?Z?$/, "Z"));
        if (watcher.seen > 0) watcher.oldest = Math.max(watcher.oldest, Date.now() - watcher.seen);
        watcher.seen = read;
        resolve();
      });
      socket.once("close", () => {
        watcher.isOpen = false;
        reject(new Error("a stream was closed"));
      });
      socket.once("error", reject);
      socket.write("GET /coupons/events HTTP/1.1\r\nHost: bench\r\n\r\n");
    });
  for (let n = 0; n < count; n += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - n) }, open));

  const report = (): Watched => ({
    open: all.filter(({ isOpen }) => isOpen).length,
    events,
    behind: all.map(({ oldest }) => oldest).sort((a, b) => a - b),
  });
  process.send?.(report());
  process.on("message", (message) => {
    if (message === "report") {
      process.send?.(report());
      return;
    }
    events = 0;
    for (const watcher of all) Object.assign(watcher, { seen: Number.NaN, oldest: 0 });
  });
}

const [, script, url, count] = process.argv;
if (script === fileURLToPath(import.meta.url)) await watch(url as string, Number(count));
