/** What a command of ./sd prints when it is called in the test's own process. */
import type { TestContext } from "node:test";

/** The lines that `work` prints; it must end with this status. */
export async function printed(t: TestContext, work: () => Promise<number>, status = 0): Promise<string[]> {
  const lines: string[] = [];
  const { mock } = t.mock.method(console, "log", (text: string) => void lines.push(...text.split("\n")));
  try {
    const ended = await work();
    if (ended !== status) throw new Error(`ended with status ${ended}:\n${lines.join("\n")}`);
    return lines;
  } finally {
    mock.restore();
  }
}
