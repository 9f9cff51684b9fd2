/**
 * Requests at instants that are fixed beforehand, whether the server keeps up or not; latency counts from the instant that a
 * request was due, so a request that could not even be sent in time is as late as its asker felt it (no coordinated
 * omission). autocannon has no such mode: with a rate it still waits for each connection's answer. Small on purpose: HTTP/1.1
 * with one request at a time on each connection of a pool, which is what a proxy in front of the server does.
 */
import { connect, type Socket } from "node:net";

export interface Pool {
  connections: number;
  /** Connections that the server closed or refused since the pool was opened; each is opened again. */
  lost(): number;
  /** @internal */
  free: Line[];
  close(): void;
}

export interface Plan {
  /** When each request is due, ms from the start, ascending. */
  due: Float64Array;
  /** The whole request, made when it is sent. `sent` is the number of requests sent before. */
  request(sent: number): string;
  /** A request that found no free connection for so long is given up, ms. */
  patience: number;
  /** From this instant on, ms from the start, nothing more is sent. Requests that wait for a connection are given up. */
  until?: number;
  /** Once it is aborted, nothing more is sent. */
  signal?: AbortSignal;
  onAnswer?(answer: { sent: number; status: number; head: string; body: string }): void;
  /** ms; performance.now() otherwise. */
  clock?(): number;
}

export interface Flight {
  /** Requests that were sent; the rest found no connection in time. */
  sent: number;
  /** Sent a second, while requests were due. */
  sentPerSecond: number;
  /** Requests whose connection failed before the answer came. */
  lost: number;
  /** By status, in order of arrival: when each request was due, and how long its answer took from then on, ms. */
  answers: Record<number, { due: number[]; took: number[] }>;
  /** From the start to the last answer, ms. */
  ended: number;
}

/** An answer that hasn't come so long after the last request was due is lost, ms. */
const ANSWER_MS = 90_000;

/** Evenly spaced: `perSecond` for so many seconds, the first at once. */
export function evenly(perSecond: number, seconds: number): Float64Array {
  return Float64Array.from({ length: Math.round(perSecond * seconds) }, (_, i) => (i * 1000) / perSecond);
}

/** When `count` answers in a row took at most `normal` ms for the first time, in ms from the first one due; undefined if never. */
export function recoveredAt(
  due: readonly number[],
  took: readonly number[],
  normal: number,
  count: number,
): number | undefined {
  const order = [...due.keys()].sort((a, b) => (due[a] as number) - (due[b] as number));
  let inRow = 0;
  for (const [place, index] of order.entries()) {
    inRow = (took[index] as number) <= normal ? inRow + 1 : 0;
    if (inRow === count) {
      const first = order[place - count + 1] as number;
      return (due[first] as number) - (due[order[0] as number] as number);
    }
  }
  return undefined;
}

/** Opens keep-alive connections, so many at a time that no listen queue overflows. */
export async function openPool(url: string, connections: number): Promise<Pool> {
  const { hostname, port } = new URL(url);
  const free: Line[] = [];
  const all = new Set<Line>();
  let lost = 0;
  let isOpen = true;

  const open = () =>
    new Promise<void>((resolve) => {
      const line = createLine(connect(Number(port), hostname));
      all.add(line);
      line.socket.once("connect", () => {
        free.push(line);
        resolve();
      });
      line.socket.once("close", () => {
        all.delete(line);
        const place = free.indexOf(line);
        if (place >= 0) free.splice(place, 1);
        resolve();
        if (!isOpen) return;
        lost += 1;
        setTimeout(() => void (isOpen && open()), 100);
      });
    });

  for (let n = 0; n < connections; n += 200)
    await Promise.all(Array.from({ length: Math.min(200, connections - n) }, open));
  return {
    connections,
    lost: () => lost,
    free,
    close() {
      isOpen = false;
      for (const line of all) line.socket.destroy();
    },
  };
}

/**
 * Each connection asks for something once. A server with Node's headersTimeout, ours has 5 s, answers 408 on a new connection
 * that has sent nothing for so long, and closes it: perhaps in the moment in which it would be used.
 */
export async function greet(pool: Pool, host: string): Promise<void> {
  const request = wire({ method: "GET", path: "/livez", headers: {}, body: "" }, host);
  await fly(pool, { due: new Float64Array(pool.connections), request: () => request, patience: 60_000 });
}

/** Carries a plan out, and waits until all that was sent is answered or lost. */
export function fly(
  pool: Pool,
  {
    due,
    request,
    patience,
    until = Number.POSITIVE_INFINITY,
    signal,
    onAnswer,
    clock = () => performance.now(),
  }: Plan,
): Promise<Flight> {
  const { free } = pool;
  const answers: Flight["answers"] = {};
  const lastDue = due.at(-1) ?? 0;
  let next = 0;
  let sent = 0;
  let sentInTime = 0;
  let lost = 0;
  let open = 0;
  let ended = 0;
  const began = clock();

  return new Promise((resolve) => {
    const send = (line: Line, dueAt: number) => {
      const number = sent++;
      open += 1;
      line.ask(request(number), (answer) => {
        open -= 1;
        const now = clock() - began;
        if (answer === undefined) {
          lost += 1;
        } else {
          ended = now;
          answers[answer.status] ??= { due: [], took: [] };
          answers[answer.status]?.due.push(dueAt);
          answers[answer.status]?.took.push(now - dueAt);
          onAnswer?.({ sent: number, ...answer });
          free.push(line);
        }
        turn();
      });
    };
    /** Sends what is due; those who wait go first. */
    const turn = () => {
      const now = clock() - began;
      if (now > until || signal?.aborted) next = due.length;
      while (next < due.length && (due[next] as number) <= now) {
        const dueAt = due[next] as number;
        if (now - dueAt > patience) {
          next += 1;
          continue;
        }
        const line = free.pop();
        if (!line) return;
        next += 1;
        if (now <= lastDue) sentInTime += 1;
        send(line, dueAt);
      }
      if (next === due.length && (open === 0 || now > lastDue + ANSWER_MS)) finish();
    };
    const timer = setInterval(turn, 1);
    const finish = () => {
      clearInterval(timer);
      const seconds = Math.max(lastDue, 1) / 1000;
      resolve({ sent, sentPerSecond: sentInTime / seconds, lost: lost + open, answers, ended });
    };
  });
}

interface Line {
  socket: Socket;
  /** `done` gets the reply, or undefined when the connection ended before it came. */
  ask(request: string, done: (reply: Reply | undefined) => void): void;
}

interface Reply {
  status: number;
  head: string;
  body: string;
}

/** A connection with at most one request on its way. */
function createLine(socket: Socket): Line {
  let text = "";
  let done: ((reply: Reply | undefined) => void) | undefined;
  const reply = (given: Reply | undefined) => {
    const waiting = done;
    done = undefined;
    waiting?.(given);
  };

  socket.setNoDelay(true);
  socket.setEncoding("latin1"); // bytes are characters, and lengths the same
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => reply(undefined));
  socket.on("data", (more: string) => {
    text += more;
    const complete = readReply(text);
    if (complete === undefined) return;
    text = "";
    reply(complete);
  });
  return {
    socket,
    ask(request, whenDone) {
      done = whenDone;
      socket.write(request, "latin1");
    },
  };
}

/** The reply, when all of it is there. */
export function readReply(text: string): Reply | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const length = head.match(/\r\ncontent-length: *(\d+)/i)?.[1];
  const body = text.slice(end + 4);
  // Without a length it comes in chunks, of which the last is empty.
  const isComplete = length === undefined ? body.endsWith("0\r\n\r\n") : body.length >= Number(length);
  return isComplete ? { status: Number(head.slice(9, 12)), head, body } : undefined;
}

/** A shot as the text that goes over the wire. */
export function wire(
  {
    method,
    path,
    headers,
    body,
  }: { method: string; path: string; headers: Record<string, string>; body: string },
  host: string,
): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}content-length: ${body.length}\r\n\r\n${body}`;
}
