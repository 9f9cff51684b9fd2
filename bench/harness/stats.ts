/** Figures of several rounds in one: the middle one, and how far they spread. */

export type Spread = readonly [median: number, least: number, most: number];

export function spread(rounds: readonly number[]): Spread {
  return [short(median(rounds)), short(Math.min(...rounds)), short(Math.max(...rounds))];
}

/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("no value has no median");
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}

/** The smallest value that at least this share (0 to 1) of all values does not exceed. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return 0;
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

/** Numbers from 0 to 1, by mulberry32: the same seed gives the same ones. */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fisher and Yates: puts the list itself in an order that the seed gives. */
export function shuffled<T>(list: T[], seed: number): T[] {
  const random = createRandom(seed);
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}

/** `count` different whole numbers from 1 to `last`, at random. */
export function sample(count: number, last: number, seed: number): number[] {
  const random = createRandom(seed);
  const drawn = new Set<number>();
  while (drawn.size < count) drawn.add(1 + Math.floor(random() * last));
  return [...drawn];
}

/** Six digits: more of them are noise, and would make the files long. */
export function short(value: number): number {
  return Number(value.toPrecision(6));
}
