/** The service itself outlives what strikes it. */
import type { Bounds } from "./bounds.ts";
import type { Facts, Findings } from "./facts.ts";

export function* liveAgain({ history }: Facts, { wellMs }: Bounds): Findings {
  for (const [i, { until, wellAt }] of history.strokes.entries())
    yield wellAt - until <= wellMs || `stroke ${i + 1}: not well ${wellMs} ms after it`;
}

export function* memoryIsFlat({ history: { memory } }: Facts, { memoryMb }: Bounds): Findings {
  const third = Math.floor(memory.length / 3);
  if (third === 0) return;
  const [first, last] = [mean(memory.slice(0, third)), mean(memory.slice(-third))];
  yield last - first <= memoryMb || `${first.toFixed(0)} MB at first, ${last.toFixed(0)} MB at last`;
}

export function* serverSurvives({ history: { deaths } }: Facts): Findings {
  yield deaths.length === 0 || deaths.join("; ");
}

export function* reconcileIsEmpty({ state: { broken } }: Facts): Findings {
  yield broken.length === 0 || broken.slice(0, 5).join("; ");
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
