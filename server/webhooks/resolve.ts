/**
 * Where the hosts of webhooks are. The system's look-ups take threads, of which libuv (1.46, measured) gives them two at once in a process:
 * one stays free for the database's name, however long name servers keep webhooks waiting.
 */
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { type Clock, systemClock } from "../clock.ts";

/** Rejects for a name that has no address. */
export type Resolve = (name: string) => Promise<LookupAddress[]>;

/** For one who asks, ms: longer than a second name server takes to be asked, after 5 s (resolv.conf(5)). */
const WAIT_MS = 10_000;
/** For an answer, ms. A failure is kept too: a name that always hangs must not take each turn. */
const KEEP_MS = 10_000;

const resolveBySystem: Resolve = (name) => lookup(name, { all: true });

/** One look-up at a time. Those who ask for the same name share it, and those who come soon after. */
export function createResolve(
  resolve: Resolve = resolveBySystem,
  { after }: Pick<Clock, "after"> = systemClock,
): Resolve {
  const answers = new Map<string, Promise<LookupAddress[]>>();
  let before: Promise<unknown> = Promise.resolve();

  function lookUp(name: string): Promise<LookupAddress[]> {
    const answer = before.then(() => resolve(name));
    answers.set(name, answer);
    before = answer.catch(() => {}).finally(() => void after(KEEP_MS, () => answers.delete(name)));
    return answer;
  }

  return (name) => {
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = after(WAIT_MS, () => reject(new Error(`${name} was not looked up in ${WAIT_MS / 1_000} s`)));
    });
    return Promise.race([answers.get(name) ?? lookUp(name), late]).finally(cancel);
  };
}
