/** Fires requests, each once, by autocannon, closed loop: the next one of a connection goes when the one before is answered. */
import autocannon from "autocannon";
import { percentile } from "../harness/stats.ts";
import type { Shot } from "../harness/tokens.ts";

/** Far beyond what the slowest peer takes with a thousand waiting. */
const TIMEOUT_S = 30;

export interface Answer {
  status: number;
  body: Buffer;
  /** When it was sent and answered, ms on performance.now()'s clock. */
  sentAt: number;
  answeredAt: number;
}

export interface Volley {
  requests: number;
  /** From the first request to the last answer. */
  seconds: number;
  /** Answers a second from the first tenth of them to the last: neither connecting nor the last stragglers count. */
  perSecond: number;
  /** ms */
  latency: { p50: number; p90: number; p99: number; p999: number; max: number };
  /** How many answers had which status. */
  statuses: Record<number, number>;
  /** Connections that failed, and answers that did not come in TIMEOUT_S (`timeouts`). */
  errors: number;
  timeouts: number;
}

interface Hooks {
  /** Gets the index of the shot. */
  onAnswer?(index: number, answer: Answer): void;
  /** Told each second how many are answered. */
  onTick?(answered: number): void;
}

/** Sends `count` shots over `connections` keep-alive connections; `shot` makes each when its turn has come. */
export async function fire(
  url: string,
  count: number,
  connections: number,
  shot: (index: number) => Shot,
  { onAnswer, onTick }: Hooks = {},
): Promise<Volley> {
  if (count < connections) throw new Error(`${count} requests are too few for ${connections} connections`);
  const latencies = new Float64Array(count);
  const answeredAt = new Float64Array(count);
  const statuses: Record<number, number> = {};
  let clients = 0;
  let answered = 0;

  const options: autocannon.Options = {
    url,
    connections,
    amount: count,
    timeout: TIMEOUT_S,
    sampleInt: 100, // how often it looks whether it has ended
    setupClient(client) {
      // Connection c sends shots c, c + connections, …: together they go out in their order.
      let next = clients++;
      let sent = next;
      let body: Buffer | undefined;
      client.setRequests([
        {
          // Made one by one: half a million ready-made requests would be most of a gigabyte.
          setupRequest(request) {
            sent = next;
            next += connections;
            return Object.assign(request, shot(sent));
          },
        },
      ]);
      client.on("body", (part: Buffer) => {
        body = body ? Buffer.concat([body, part]) : part;
      });
      // Comes when the answer is complete, and knows how long it took.
      client.on("response", (status, _bytes, ms) => {
        const now = performance.now();
        latencies[answered] = ms;
        answeredAt[answered] = now;
        answered += 1;
        statuses[status] = (statuses[status] ?? 0) + 1;
        onAnswer?.(sent, { status, body: body ?? Buffer.alloc(0), sentAt: now - ms, answeredAt: now });
        body = undefined;
      });
    },
  };
  const began = performance.now();
  const { errors, timeouts } = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(options, (error, done) => (error ? reject(error) : resolve(done)));
    instance.on("tick", () => onTick?.(answered));
  });

  const sorted = latencies.subarray(0, answered).sort();
  return {
    requests: answered,
    seconds: ((answeredAt[answered - 1] ?? began) - began) / 1000,
    perSecond: steadyRate(answeredAt.subarray(0, answered)),
    latency: {
      p50: percentile(sorted, 0.5),
      p90: percentile(sorted, 0.9),
      p99: percentile(sorted, 0.99),
      p999: percentile(sorted, 0.999),
      max: sorted.at(-1) ?? 0,
    },
    statuses,
    errors,
    timeouts,
  };
}

/** Events a second between the first tenth of them and the last; `instants` in ms, ascending. */
export function steadyRate(instants: Float64Array): number {
  const first = Math.floor(instants.length * 0.1);
  const last = Math.ceil(instants.length * 0.9) - 1;
  const ms = (instants[last] ?? 0) - (instants[first] ?? 0);
  return ms > 0 ? ((last - first) * 1000) / ms : 0;
}

/** Every request answered, each with this status: what isn't so, in words for a verdict. */
export function faultsOf(who: string, requests: number, status: number, volley: Volley): string[] {
  const { statuses, errors, timeouts } = volley;
  if (statuses[status] === requests && errors === 0) return [];
  return [
    `${who}: of ${requests} requests ${JSON.stringify(statuses)}, ${errors - timeouts} connections failed, ` +
      `${timeouts} had no answer in ${TIMEOUT_S} s`,
  ];
}
