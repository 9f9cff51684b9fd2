/**
 * Stdout as a log needs it: few writes, bounded, and it outlives its reader. Ours, since with sonic-boom (4.2.1, pino's) a process can't
 * end while stdout's reader stands still: its write blocks a thread of libuv's pool, for which exit waits.
 */
import cluster from "node:cluster";

/** Bytes that may wait for the reader. */
const MAX_WAITING = 1024 * 1024;

/** Bytes that a pipe takes as a whole or not at all (PIPE_BUF of Linux): workers share one, and the lines of longer writes would mix. */
const WHOLE = 4_096;

/** From a write that failed to the next one, ms: a full disk may have room again. */
const AGAIN_MS = 1_000;

/** Writes a line; false when there is no room for it, or nobody who reads. All lines of a turn are one write, in a worker of at most WHOLE bytes. */
export function createStdout(most = cluster.isWorker ? WHOLE : MAX_WAITING): (line: string) => boolean {
  const { stdout } = process;
  /** What is not written yet, in writes, and the bytes of the last one. */
  const writes: string[] = [];
  let last = 0;
  /** Bytes of them, and of the one that is being written: one at a time, since the stream would join others to one. */
  let waiting = 0;
  let isWriting = false;
  let isRead = true;
  // Without a listener an error would end the process. EPIPE: the reader is gone for good.
  stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") isRead = false;
  });
  process.once("exit", () => stdout.write(writes.join("")));

  function next(): void {
    const lines = writes.shift();
    isWriting = lines !== undefined && isRead;
    if (lines === undefined || !isRead) return;
    stdout.write(lines, (error) => {
      if (error) {
        // What came before may be cut off.
        const rest = lines.startsWith("\n") ? lines : `\n${lines}`;
        waiting += rest.length - lines.length;
        writes.unshift(rest);
        setTimeout(next, AGAIN_MS).unref();
        return;
      }
      waiting -= Buffer.byteLength(lines);
      next();
    });
  }

  return (line) => {
    const bytes = Buffer.byteLength(line);
    if (!isRead || waiting + bytes > MAX_WAITING) return false;
    waiting += bytes;
    if (writes.length > 0 && last + bytes <= most) {
      writes.push(writes.pop() + line);
      last += bytes;
    } else {
      writes.push(line);
      last = bytes;
    }
    if (!isWriting) {
      isWriting = true;
      setImmediate(next);
    }
    return true;
  };
}
