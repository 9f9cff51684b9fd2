/** One volley of requests to issue, by tokens that nobody has seen: what it was answered, and what it cost each process. */
import { ownCpu, parentOf, type Snapshot, snapshot, total } from "../harness/cpu.ts";
import type { Scratch } from "../harness/scratch.ts";
import type { Verdict } from "../report/result.ts";
import type { Answer } from "./closed-loop.ts";
import { type Answers, type Generator, useAutocannon, useWrk, wrkVersion } from "./generator.ts";

/** The processes of what is fired at, by id. */
export interface Processes {
  process: number;
  database?: number | undefined;
}

export interface Round extends Answers {
  /** CPU time, µs an answer; NaN where there is no such process, or no /proc. */
  cpu: { process: number; database: number; generator: number };
}

/** The two ways to fire; without wrk one, and a note. */
export function generatorsHere(note: (text: string) => void): Generator[] {
  const version = wrkVersion();
  note(
    version === undefined
      ? "Skipped: what wrk would fire at, and with it the bars. It needs wrk (Debian package wrk)."
      : `wrk ${version}, one thread.`,
  );
  return version === undefined ? [useAutocannon()] : [useWrk(version), useAutocannon()];
}

/** Fires once. The verdict is told what is not so: nothing failed, no token came twice, all have this kind of status. */
export async function fireAt(
  { name, url, processes }: { name: string; url: string; processes: Processes },
  shots: {
    couponId: number;
    connections: number;
    seconds: number;
    tokens: readonly string[];
    onAnswer?(answer: Answer): void;
  },
  generator: Generator,
  { isRefused, verdict }: { isRefused: boolean; verdict: Verdict },
): Promise<Round> {
  const before = await usageOf(processes);
  const told = await generator.volley({ url, ...shots });
  const after = await usageOf(processes);
  const who = `${name}, ${shots.connections} connections, ${generator.name}`;
  verdict.equal(`failed requests by ${who}`, told.failed, 0);
  verdict.equal(`refusals by ${who}`, told.refused, isRefused ? told.answers : 0);
  const micro = (seconds: number) => (seconds * 1e6) / told.answers;
  return {
    ...told,
    cpu: {
      process: micro(total(before.process, after.process)),
      database: processes.database ? micro(total(before.database, after.database)) : Number.NaN,
      generator: micro(after.generator - before.generator),
    },
  };
}

async function usageOf({ process, database }: Processes) {
  const none: Snapshot = new Map();
  const [ofProcess, ofDatabase, generator] = await Promise.all([
    snapshot(process).catch(() => none),
    database ? snapshot(database).catch(() => none) : none,
    ownCpu(),
  ]);
  return { process: ofProcess, database: ofDatabase, generator };
}

/** PostgreSQL's first process, if it runs on this machine. */
export async function postmasterOf({ owner }: Pick<Scratch, "owner">): Promise<number | undefined> {
  const [session] = await owner`select pg_backend_pid() as pid`;
  return parentOf(session?.["pid"]).catch(() => undefined);
}
