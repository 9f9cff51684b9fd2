/** How long and how much is still right. */
export interface Bounds {
  /** From the request to its answer: the server's own deadlines, and some for the way. ms */
  answerMs: number;
  /** From the end of a fault until grants and uses are answered again. ms */
  wellMs: number;
  /** By how much the memory may grow from the first third of the strokes to the last. MB */
  memoryMb: number;
}

/** The server promises at most 2 s in a queue or before a connection, and 6 s for the database. The rest is for the way. */
export const BOUNDS: Bounds = { answerMs: 10_000, wellMs: 10_000, memoryMb: 64 };
