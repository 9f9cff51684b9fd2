/** The pools of a server process, by purpose. */
import { createHosts } from "../../db/hosts.ts";
import type { Target } from "../../db/target.ts";
import { createPool, type Signals } from "./pool.ts";

/** Connections by purpose: what waits, or takes long, delays only its own kind. */
const POOLS = {
  issue: 4,
  lookup: 2,
  lease: 2,
  use: 4,
  operate: 2,
  offer: 2,
  report: 3,
  ready: 1,
  webhook: 1,
} as const;

/** Of a server process. */
export const CONNECTIONS = Object.values(POOLS).reduce((sum: number, max) => sum + max, 0);

/** Those that work while the database takes no writes. */
const READING: readonly string[] = ["offer", "report"];

/** The pools of a server, by purpose. */
export function openPools(target: Target, callMs?: number) {
  const hosts = target.hosts.length > 1 ? createHosts(target) : undefined;
  /** Told when a connection was lost or closed. */
  const listeners: (() => void)[] = [];
  let commitWaitsFor: string | undefined;
  const renew = (ms?: number) => {
    for (const pool of Object.values(pools)) pool.renew(ms);
  };
  const signals: Signals = {
    lost() {
      for (const listener of listeners) listener();
    },
    readOnly: () => renew(),
    stalled() {
      for (const pool of Object.values(pools)) pool.distrust();
    },
    commits(waitFor) {
      commitWaitsFor = waitFor;
    },
  };
  const pools = mapped(POOLS, (max, name) =>
    createPool({ target, hosts }, max, READING.includes(name) ? "reads" : "writes", signals, callMs),
  );
  // The one before may live on, and would take what nobody else gets to know: what it says from now on may be lost, or never comes.
  hosts?.onMoved(() => renew(0));
  return {
    pools,
    /** The current figures of each pool, and its errors so far. */
    figures: mapped(pools, (pool) => pool.figures),
    /** What a commit waits for, in words, as a session was told it last; undefined before. */
    commitWaitsFor: () => commitWaitsFor,
    /** Calls the listener when a connection was lost or closed: the next one may reach another database. */
    onLost: (listener: () => void) => void listeners.push(listener),
    /** Closes all connections. Calls in flight have `ms` to finish. */
    close: (ms: number) => Promise.all(Object.values(pools).map((pool) => pool.close(ms))),
  };
}

function mapped<Name extends string, From, To>(
  from: Record<Name, From>,
  to: (value: From, name: Name) => To,
): Record<Name, To> {
  const entries = Object.entries(from) as [Name, From][];
  return Object.fromEntries(entries.map(([name, value]) => [name, to(value, name)])) as Record<Name, To>;
}
