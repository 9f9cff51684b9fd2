/**
 * Several hosts in a URL: which of them is wanted now. The driver (postgres 3.4.9) takes a list too, and asks each host for each of its
 * connections: in an outage all connections of a process knock at every host without a pause, and target_session_attrs=read-write takes
 * a standby. Here all connections of a pool share one search, and a host that is not wanted is asked again after growing pauses.
 */
import postgres from "postgres";
import { NO_HOST, UNREACHABLE } from "./errors.ts";
import { failingSocket, openSocket, type SocketOptions } from "./socket.ts";
import type { Target, Wanted } from "./target.ts";

/** Between two questions to one host, ms: the first pause after it was not wanted, and the longest. A random half of it is left out. */
const PAUSES = { first: 50, longest: 1_000 };

/** Before the next question to who was not what is wanted, ms: `failures` times in a row before this one. */
export function pauseAfter(failures: number, longest = PAUSES.longest): number {
  return Math.min(longest, PAUSES.first * 2 ** failures) * (0.5 + Math.random() / 2);
}

/** Questions to one host in so many ms, at most. */
export function mostQuestions(ms: number): number {
  let count = 1;
  for (let last = 0, pause = PAUSES.first; ; pause = Math.min(PAUSES.longest, 2 * pause)) {
    last += pause / 2;
    if (last > ms) return count;
    count += 1;
  }
}

export interface Patience {
  /** For the answer of one host, ms. */
  askMs: number;
  /** For all of them, ms: then who waits is told that there is none. */
  searchMs: number;
  /** For another answer once a host is wanted, ms. Default: GRACE_MS. */
  graceMs?: number;
}

/** Where two call themselves primary, the one of the newer timeline is right. */
const GRACE_MS = 100;
/** A caller of the server has to be told within its time. */
const SERVING: Patience = { askMs: 2_000, searchMs: 1_000 };
/** A command asks once. */
export const COMMANDING: Patience = { askMs: 10_000, searchMs: 10_000 };

export interface Found {
  target: Target;
}

export interface Hosts {
  /** The host that is wanted, searched if it is not known. Rejects with the code NO_HOST and a sentence that says what each host is. */
  find(): Promise<Found>;
  /** A connection to it was closed, or whichever is known does not answer: the next one asks again. */
  lost(found?: Found): void;
  /** The host that is known is not taken for `ms`, and then after those that were never avoided, or longer ago. */
  avoid(ms: number): void;
  /** Calls the listener when another host is found than before: whoever has sessions of the one before must leave them. */
  onMoved(listener: () => void): void;
}

interface Answer {
  /** What it is, for a person; undefined if it is what is wanted. */
  unwanted: string | undefined;
  /** Of a primary: the system that it is a copy of, and which one in the order of promotions. */
  system: string;
  timeline: string;
}

/** One of the hosts, and how it was when it was asked last. */
interface Host {
  target: Target;
  asking: Promise<Answer> | undefined;
  last: Answer | undefined;
  failures: number;
  askAgainAt: number;
  /** The last time on performance.now(); 0: never. */
  avoidedAt: number;
}

const now = () => performance.now();

/** Knows nothing at first, and asks when somebody wants to connect. */
export function createHosts(
  target: Target,
  { askMs, searchMs, graceMs = GRACE_MS }: Patience = SERVING,
): Hosts {
  const hosts = (target.isRandom ? shuffled(target.hosts) : target.hosts).map(
    (each): Host => ({
      target: each,
      asking: undefined,
      last: undefined,
      failures: 0,
      askAgainAt: 0,
      avoidedAt: 0,
    }),
  );
  /** Of each system the newest timeline that a primary was on: one of an earlier timeline was replaced, and may not know it. */
  const newest = new Map<string, string>();
  const listeners: (() => void)[] = [];
  let current: Found | undefined;
  let last: Target | undefined;
  let foundAt = 0;
  let searching: Promise<Found> | undefined;

  function take({ target }: Host): Found {
    foundAt = now();
    current = { target };
    const isMoved = last !== undefined && last !== target;
    last = target;
    if (isMoved) for (const listener of listeners) listener();
    return current;
  }

  function ask(host: Host): void {
    const askedAt = now();
    host.askAgainAt = askedAt + pauseAfter(host.failures);
    host.failures += 1;
    host.asking = answerOf(host.target, target.wanted, askMs).then((answer) => {
      const { system, timeline } = answer;
      const known = newest.get(system) ?? "";
      if (timeline > known) newest.set(system, timeline);
      host.asking = undefined;
      // A standby says none.
      const isReplaced = timeline !== "" && timeline < known;
      host.last = isReplaced ? { ...answer, unwanted: "was replaced as the primary" } : answer;
      // From far away it may come when the search is over, and the next one may be, too.
      const isLate = searching === undefined && current === undefined && host.avoidedAt < askedAt;
      if (isLate && host.last.unwanted === undefined) take(host);
      return host.last;
    });
  }

  async function search(): Promise<Found> {
    for (const host of hosts) if (host.asking === undefined && now() >= host.askAgainAt) ask(host);
    const asked = hosts.filter(({ asking }) => asking !== undefined);
    const best = await bestOf(asked, searchMs, graceMs);
    if (best === undefined) throw noHost(target.wanted, hosts);
    return take(best);
  }

  return {
    find() {
      if (current !== undefined) return Promise.resolve(current);
      searching ??= search().finally(() => {
        searching = undefined;
      });
      return searching;
    },
    avoid(ms) {
      const avoided = hosts.find(({ target }) => target === current?.target);
      if (avoided) {
        avoided.avoidedAt = now();
        avoided.askAgainAt = avoided.avoidedAt + ms;
      }
      current = undefined;
    },
    lost(found = current) {
      if (found !== current) return;
      current = undefined;
      // One that answers and then lets nobody in is not asked more often than one that does not answer.
      if (now() - foundAt > PAUSES.longest) for (const host of hosts) host.failures = 0;
    },
    onMoved: (listener) => void listeners.push(listener),
  };
}

/** Of the hosts that are wanted the one of the newest timeline; of those the one that was avoided longest ago, or never; of those
 * the first. Undefined if none is, or none in time. */
function bestOf(asked: readonly Host[], searchMs: number, graceMs: number): Promise<Host | undefined> {
  return new Promise((resolve) => {
    const wanted: { host: Host; answer: Answer }[] = [];
    let left = asked.length;
    const decide = () => {
      clearTimeout(timer);
      const [newest] = wanted
        .map(({ answer }) => answer.timeline)
        .sort()
        .reverse();
      const best = wanted.filter(({ answer }) => answer.timeline === newest).map(({ host }) => host);
      resolve(best.sort((a, b) => a.avoidedAt - b.avoidedAt || asked.indexOf(a) - asked.indexOf(b))[0]);
    };
    let timer = setTimeout(decide, searchMs);
    if (left === 0) decide();
    for (const host of asked)
      void host.asking?.then((answer) => {
        left -= 1;
        if (answer.unwanted === undefined) {
          if (wanted.length === 0) {
            clearTimeout(timer);
            timer = setTimeout(decide, graceMs);
          }
          wanted.push({ host, answer });
        }
        if (left === 0) decide();
      });
  });
}

/** Asks a host what it is, by one connection that lasts `ms` at most. */
async function answerOf(target: Target, wanted: Wanted, ms: number): Promise<Answer> {
  let socket: ReturnType<typeof openSocket> | undefined;
  const { connection, ...options } = target.driverOptions();
  const sql = postgres({
    ...options,
    max: 1,
    connect_timeout: ms / 1_000,
    fetch_types: false,
    onnotice: () => {},
    connection: { ...connection, application_name: "coupon-hosts" },
    ...({
      socket: (given: SocketOptions) => {
        socket = openSocket(given);
        return socket;
      },
    } as object),
  });
  const timer = setTimeout(
    () => socket?.destroy(Object.assign(new Error("too late"), { code: "CONNECT_TIMEOUT" })),
    ms,
  );
  try {
    const [row] = await sql`
      select
        pg_catalog.pg_is_in_recovery()::text as is_standby,
        pg_catalog.current_setting('transaction_read_only') as read_only,
        (select c.system_identifier::text from pg_catalog.pg_control_system() c) as system,
        case when not pg_catalog.pg_is_in_recovery() then
          pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)
        end as timeline
    `;
    const { is_standby, read_only, system, timeline } = row as Record<string, string | null>;
    return {
      unwanted: mismatch(wanted, is_standby === "true", read_only === "on"),
      system: system ?? "",
      timeline: timeline ?? "",
    };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const what = UNREACHABLE.some((each) => each === code) ? "cannot be reached" : "does not let us in";
    return { unwanted: `${what} (${code ?? message})`, system: "", timeline: "" };
  } finally {
    clearTimeout(timer);
    await sql.end({ timeout: 0 });
    socket?.destroy();
  }
}

function mismatch(wanted: Wanted, isStandby: boolean, isReadOnly: boolean): string | undefined {
  if (wanted === "standby") return isStandby ? undefined : "is no standby";
  if (isStandby) return "is a standby";
  return wanted === "read-write" && isReadOnly ? "takes no writes" : undefined;
}

function noHost(wanted: Wanted, hosts: readonly Host[]): Error {
  const what = hosts.map(({ target, last }) => `${target.host} ${last?.unwanted ?? "has not answered yet"}`);
  const looked = wanted === "standby" ? "a standby" : "the primary";
  return Object.assign(new Error(`no host of the URL is ${looked}: ${what.join(", ")}`), { code: NO_HOST });
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((each) => ({ each, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ each }) => each);
}

/** What each host of a URL says that it is, in words: a line for each. */
export function describeHosts(target: Target): Promise<string[]> {
  return Promise.all(
    target.hosts.map(async (each) => {
      const { unwanted } = await answerOf(each, target.wanted, SERVING.askMs);
      return `${each.host} ${unwanted ?? (target.wanted === "standby" ? "is a standby" : "is the primary")}`;
    }),
  );
}

/** The same target at the one host that is its primary now; itself where the URL has one host. */
export async function primaryOf(target: Target): Promise<Target> {
  if (target.hosts.length === 1) return target;
  return (await createHosts(target, COMMANDING).find()).target;
}

/** What the driver is given to open its sockets: to the host of its options, or of several to the one that is wanted. */
export function socketsTo(hosts: Hosts | undefined, isOver: () => boolean = () => false) {
  if (hosts === undefined) return openSocket;
  return async (options: SocketOptions) => {
    let found: Found;
    try {
      found = await hosts.find();
      // The driver (postgres 3.4.9: connect() sets `terminated` back) goes on with the session of a pool that was closed meanwhile.
      if (isOver()) throw Object.assign(new Error("closed meanwhile"), { code: "CONNECTION_ENDED" });
    } catch (error) {
      return failingSocket(error as Error);
    }
    const { host, port, path } = found.target.driverOptions();
    return openSocket({ ...options, host, port, path: path ?? false, closed: () => hosts.lost(found) });
  };
}
