/**
 * What a process has more, MB, when it knows the tokens of so many users: objects and buffers, whether they were touched or not. A process
 * of its own, started with --expose-gc and their number: what another scenario left behind may be freed while it measures.
 */
import { createKnown } from "../../server/auth/known.ts";

const collect = globalThis.gc as () => void;
const count = Number(process.argv[2]);

const now = Date.now() / 1000;
const before = used();
const known = createKnown(() => true);
for (let user_id = 1; user_id <= count; user_id++)
  known.add(tokenOf(user_id), 1, now, {
    caller: { role: "user", user_id, subject: String(user_id) },
    exp: now + 86_400,
  });
const after = used();
// It is used once more, so that it is not collected before.
if (known.find(tokenOf(count), now) === undefined) throw new Error("the last one is not known");
console.log((after - before) / 1e6);

function used(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function tokenOf(user_id: number): string {
  return `${"x".repeat(600)}${user_id}`;
}
