/** Faults of clocks. */
import { existsSync } from "node:fs";
import { FAKETIME } from "../clock.ts";
import type { Fault } from "../fault.ts";

export const clocks: readonly Fault[] = [
  {
    name: "server's clock",
    about: "the server's clock jumps up to 20 hours to either side, and stays there",
    seen: "the server's answers are dated so",
    clock: "server",
    needs: needsFaketime,
    async strike({ clock, random, hold }) {
      await clock.set((random() - 0.5) * 40 * 3_600);
      await hold(200, 1_000);
    },
  },
  {
    name: "database's clock",
    about: "the database's clock jumps up to ten minutes ahead, or back by half a second",
    seen: "clock_timestamp() says so",
    cluster: "plain",
    clock: "database",
    needs: needsFaketime,
    async strike({ clock, random, hold }) {
      await clock.set(clock.ahead + (random() < 0.5 ? -0.5 : random() * 600));
      await hold(200, 1_000);
    },
  },
];

async function needsFaketime(): Promise<string | undefined> {
  return existsSync(FAKETIME) ? undefined : "faketime";
}
