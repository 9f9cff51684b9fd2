/** A question before something is removed for good. */
import { createInterface } from "node:readline/promises";

/** Whether "yes" was typed. The end of the input is no yes. */
export async function confirmed(question: string): Promise<boolean> {
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((resolve) => void ask.once("close", () => resolve("")));
  const answer = await Promise.race([ask.question(`${question} Type yes: `), closed]).finally(() =>
    ask.close(),
  );
  return answer.trim() === "yes";
}
