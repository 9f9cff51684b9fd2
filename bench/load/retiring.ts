/** A run of ./sd retire that works only while it is wanted, so that a drop is measured with and without it in turn. */
import { tmpdir } from "node:os";
import type { Sql } from "../../db/connect.ts";
import type { Scratch } from "../harness/scratch.ts";
import { type Run, sd, signalGroup } from "../harness/sd.ts";
import { until } from "../harness/waiting.ts";

/** How many grants are moved out so far. */
export async function retired(admin: Sql): Promise<number> {
  const [row] = await admin`select coalesce(sum(issued), 0)::float8 as grants from coupon.retired_grants`;
  return row?.["grants"];
}

export type Retiring = Awaited<ReturnType<typeof startRetiring>>;

/** ./sd retire, which stands still until it is wanted, so that no start of a process is measured. */
export async function startRetiring({ admin, setupUrl }: Scratch, before: string) {
  const run: Run = sd(["retire", before], { dataDir: tmpdir(), env: { DATABASE_URL: setupUrl } });
  const hasEnded = () => run.child.exitCode !== null || run.child.signalCode !== null;
  const goesOn = async () => {
    const from = await retired(admin);
    await until(async () => {
      if (run.child.exitCode) throw new Error(`./sd retire: ${run.stderr}`);
      return hasEnded() || (await retired(admin)) > from;
    });
  };
  const rests = () =>
    until(async () => {
      const [row] = await admin`
        select count(*)::integer as steps from pg_stat_activity
        where datname = current_database() and state <> 'idle' and query like '%retire_coupons(%' and pid <> pg_backend_pid()`;
      return row?.["steps"] === 0;
    });
  const signal = (name: NodeJS.Signals) => {
    if (!hasEnded()) signalGroup(run.child, name);
  };
  const standStill = async () => {
    signal("SIGSTOP");
    await rests();
  };
  await goesOn();
  await standStill();
  return {
    hasEnded,
    /** Lets it work while `work` is done, from its first step on; returns how many grants it moved out a second. */
    async during<T>(work: () => Promise<T>): Promise<{ result: T; perSecond: number }> {
      signal("SIGCONT");
      await goesOn();
      const [began, from] = [performance.now(), await retired(admin)];
      const result = await work();
      const perSecond = (((await retired(admin)) - from) * 1_000) / (performance.now() - began);
      await standStill();
      return { result, perSecond };
    },
    async end() {
      signal("SIGKILL");
      await until(hasEnded);
      await rests();
    },
  };
}
