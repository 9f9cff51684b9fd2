/** Fires a list of requests, each once, by autocannon, and hands every answer to the caller. */
import autocannon from "autocannon";

export interface Shot {
  method: "GET" | "POST";
  path: string;
  headers: Record<string, string>;
  body?: string;
}

export interface Answer {
  status: number;
  body: string;
  /** When it was sent and answered, ms on performance.now()'s clock. */
  sentAt: number;
  answeredAt: number;
}

export interface Volley {
  requests: number;
  seconds: number;
  perSecond: number;
  /** ms */
  latency: { p50: number; p90: number; p99: number; p999: number; max: number };
  /** Connections that failed, and answers that did not come in 10 s. */
  errors: number;
  timeouts: number;
}

/**
 * Sends `shots` over `connections` keep-alive connections, closed loop: each connection sends its next request when the
 * one before is answered. `onAnswer` gets the shot's index. `onTick` is told each second how many are answered.
 */
export async function fire(
  url: string,
  shots: readonly Shot[],
  connections: number,
  onAnswer: (index: number, answer: Answer) => void,
  onTick: (answered: number) => void = () => {},
): Promise<Volley> {
  // Connection c sends shots c, c + connections, …: together they go out in the order of the list.
  let next = 0;
  let answered = 0;
  const options: autocannon.Options = {
    url,
    connections,
    amount: shots.length,
    timeout: 10,
    // Refusals are answers too.
    excludeErrorStats: false,
    setupClient(client) {
      const first = next++;
      let last: { index: number; status: number; body: string } | undefined;
      const requests = [];
      for (let index = first; index < shots.length; index += connections) {
        requests.push({
          ...(shots[index] as Shot),
          onResponse: (status: number, body: string) => {
            last = { index, status, body };
          },
        });
      }
      client.setRequests(requests);
      // Comes right after onResponse, and knows how long it took.
      client.on("response", (_status, _bytes, ms) => {
        if (!last) return;
        const answeredAt = performance.now();
        answered += 1;
        onAnswer(last.index, { status: last.status, body: last.body, sentAt: answeredAt - ms, answeredAt });
      });
    },
  };
  const began = performance.now();
  let ended = began;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(options, (error, done) => (error ? reject(error) : resolve(done)));
    instance.on("tick", () => onTick(answered));
    instance.on("response", () => {
      ended = performance.now();
    });
  });
  const { p50, p90, p99, p99_9, max } = result.latency;
  const seconds = (ended - began) / 1000;
  return {
    requests: answered,
    seconds,
    perSecond: answered / seconds,
    latency: { p50, p90, p99, p999: p99_9, max },
    errors: result.errors,
    timeouts: result.timeouts,
  };
}
