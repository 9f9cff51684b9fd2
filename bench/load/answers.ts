/** All answers of a burst. Half a million of them, so what each says is kept only where it was granted. */
import type { Slices } from "../report/result.ts";
import type { Answer } from "./closed-loop.ts";

export interface Told {
  outcome: string;
  user_id: number;
  position?: number;
  issued_at?: string;
}

/** By request; instants in ms on performance.now()'s clock. */
export interface Answers {
  status: Uint16Array;
  outcome: string[];
  sentAt: Float64Array;
  answeredAt: Float64Array;
  /** What was told with 201 and 200. */
  told: Map<number, Told>;
  /** Requests that were told of another user. */
  ofOthers: number;
}

export function createAnswers(requests: number): Answers {
  return {
    status: new Uint16Array(requests),
    outcome: new Array(requests),
    sentAt: new Float64Array(requests),
    answeredAt: new Float64Array(requests),
    told: new Map(),
    ofOthers: 0,
  };
}

export function note(answers: Answers, index: number, asker: number, answer: Answer): void {
  const { status, body, sentAt, answeredAt } = answer;
  const told = parse(body);
  answers.status[index] = status;
  answers.outcome[index] = told.outcome;
  answers.sentAt[index] = sentAt;
  answers.answeredAt[index] = answeredAt;
  if (status === 201 || status === 200) answers.told.set(index, told);
  if (told.user_id !== asker) answers.ofOthers += 1;
}

function parse(body: Buffer): Told {
  const text = body.toString();
  try {
    return JSON.parse(text);
  } catch {
    return { outcome: `no JSON: ${text.slice(0, 80)}`, user_id: 0 };
  }
}

/** So many slices at most show all of a burst. */
const MOST_SLICES = 125;

/** All of it, in slices of a round length that meet at `startsAt`. */
export function wholeOf(answers: Answers, startsAt: number): Slices {
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < answers.outcome.length; i++) {
    if (!answers.answeredAt[i]) continue;
    first = Math.min(first, answers.sentAt[i] as number);
    last = Math.max(last, answers.answeredAt[i] as number);
  }
  const slice =
    [100, 200, 500, 1_000, 2_000, 5_000].find((ms) => (last - first) / ms < MOST_SLICES) ?? 10_000;
  const from = Math.floor((first - startsAt) / slice);
  return slicesOf(answers, startsAt, slice, from, Math.floor((last - startsAt) / slice) + 1 - from);
}

/** The moments around `startsAt`, in slices of a round length: all grants are in the first two thirds of them. */
export function startOf(answers: Answers, startsAt: number): Slices {
  let lastGrantAt = startsAt;
  for (const [index] of answers.told)
    if (answers.status[index] === 201)
      lastGrantAt = Math.max(lastGrantAt, answers.answeredAt[index] as number);
  const slice = [2, 5, 10, 20, 50, 100].find((ms) => (lastGrantAt - startsAt) / ms < 20) ?? 200;
  return slicesOf(answers, startsAt, slice, -20, 60);
}

/** `count` slices of so many ms, the first one `from` slices after `startsAt`. */
function slicesOf(answers: Answers, startsAt: number, ms: number, from: number, count: number): Slices {
  const inSlices: Record<string, number[]> = {};
  for (let i = 0; i < answers.outcome.length; i++) {
    if (!answers.answeredAt[i]) continue;
    const slice = Math.floor(((answers.answeredAt[i] as number) - startsAt) / ms) - from;
    if (slice < 0 || slice >= count) continue;
    const outcome = answers.outcome[i] as string;
    inSlices[outcome] ??= new Array<number>(count).fill(0);
    inSlices[outcome][slice] = (inSlices[outcome][slice] ?? 0) + 1;
  }
  return { from: (from * ms) / 1000, slice: ms / 1000, answers: inSlices };
}
