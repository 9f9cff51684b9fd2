/** A run in which something was wrong: said, and written down whole, to be looked at and run again. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Verdict } from "./checker/check.ts";
import type { FinalState, History } from "./history.ts";

interface Run {
  verdict: Pick<Verdict, "violations">;
  history: History;
  state: FinalState;
}

/** Says the first of its violations, by which command it runs again, and the file of its history; of a run without any, nothing. */
export async function tellWrong(
  fault: string,
  { verdict: { violations }, history, state }: Run,
  command: string,
  say: (line: string) => void,
): Promise<void> {
  if (violations.length === 0) return;
  for (const { invariant, detail } of violations.slice(0, 10)) say(`  WRONG ${invariant}: ${detail}`);
  const file = join(await mkdtemp(join(tmpdir(), "faults-history-")), `${fault}.json`);
  const counts = [...history.counts];
  await writeFile(file, JSON.stringify({ ...history, counts, state, violations }, null, 1));
  say(
    `  ${violations.length} violations; again with: ${command} --seed ${history.seed} '${fault}'; history: ${file}`,
  );
}
