/** How long and how much is still right. */
export interface Bounds {
  /** The longest time from a request to its answer, in ms: the server's own deadlines, and some for the way. */
  answerMs: number;
  /** The longest time from the end of a fault until grants and uses are answered again, in ms. */
  wellMs: number;
  /** By how much the memory may grow from the first third of the strokes to the last, in MB. */
  memoryMb: number;
}

/** The server promises at most 2 s in a queue or before a connection, and 6 s for the database. The rest is for the way. */
export const BOUNDS: Bounds = { answerMs: 10_000, wellMs: 10_000, memoryMb: 64 };
