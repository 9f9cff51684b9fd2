/**
 * Stdout as a log needs it: one write for all lines of a turn, bounded, and it outlives its reader. Ours, since with sonic-boom (4.2.1,
 * pino's) a process can't end while stdout's reader stands still: its write blocks a thread of libuv's pool, for which exit waits.
 */

/** Bytes, about, that may wait for the reader. */
const MAX_WAITING = 1024 * 1024;

/** Writes a line; false when there is no room for it, or nobody who reads. */
export function createStdout(): (line: string) => boolean {
  const { stdout } = process;
  let lines = "";
  let room = 0;
  let isRead = true;
  // EPIPE: the reader is gone. Without a listener it would end the process.
  stdout.on("error", () => {
    isRead = false;
  });
  const flush = () => {
    if (lines !== "") stdout.write(lines);
    lines = "";
  };
  process.once("exit", flush);
  return (line) => {
    if (lines === "") {
      // What the reader hasn't taken waits in the stream, whose length counts bytes.
      room = isRead ? MAX_WAITING - stdout.writableLength : 0;
      if (line.length > room) return false;
      setImmediate(flush);
    } else if (lines.length + line.length > room) return false;
    lines += line;
    return true;
  };
}
