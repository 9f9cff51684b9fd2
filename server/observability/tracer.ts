/**
 * Which requests become spans of a trace, and what they say: by OpenTelemetry's conventions for HTTP servers. Ours rather than
 * OpenTelemetry's SDK: what a request needs of it is an id and a place in a queue.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Env } from "../env.ts";
import type { Exchange, Span, Tracer } from "../http/exchange.ts";
import { headerOf, type TraceParent } from "../http/headers.ts";
import { METHODS } from "./requests.ts";

/** A request that was answered. */
export interface Ended {
  span: Span;
  method: string;
  route: string | undefined;
  path: string;
  /** What callers before say of the trace (W3C Trace Context): by how much it was sampled, for those who count spans. */
  state: string | undefined;
  status: number;
  /** When it was answered, ms since 1970. */
  at: number;
  ms: number;
}

/** Whether a trace is exported. Answers for the same trace the same, wherever it is asked. */
type Sampler = (traceId: string, parent: TraceParent | undefined) => boolean;

/** The sampler of this name. `ratio` is the part of all traces, 0 to 1, that the two by ratio export. */
export function samplerOf(name: Env["OTEL_TRACES_SAMPLER"], ratio: number): Sampler {
  const root: Sampler = name.endsWith("always_on")
    ? () => true
    : name.endsWith("always_off")
      ? () => false
      : // 52 bits, which a number holds exactly.
        (traceId) => Number.parseInt(traceId.slice(-13), 16) < ratio * 2 ** 52;
  return name.startsWith("parentbased_")
    ? (traceId, parent) => parent?.isSampled ?? root(traceId, parent)
    : root;
}

export function createTracer(
  isSampled: Sampler,
  { take, hasRoom }: { take: (ended: Ended) => void; hasRoom: () => boolean },
  clock: Pick<Clock, "wall">,
): Tracer {
  return {
    begin(parent) {
      const traceId = parent?.traceId ?? randomUUID().replaceAll("-", "");
      if (!isSampled(traceId, parent)) return undefined;
      // The first and last digits of a UUID are random. Node keeps random UUIDs ready; randomBytes() would cost 5 µs.
      const random = randomUUID();
      return { traceId, spanId: random.slice(0, 4) + random.slice(24), parentId: parent?.parentId };
    },
    hasRoom,
    end(span, { method, path, headers, trace, count }: Exchange, status, ms) {
      const state = trace && headerOf(headers, "tracestate");
      take({ span, method, route: count.route, path, state, status, at: clock.wall(), ms });
    },
  };
}

const SERVER = 2;
const ERROR = 2;

/** A span in the JSON of OTLP 1.x. */
export function spanOf({ span, method, route, path, state, status, at, ms }: Ended) {
  const isKnown = METHODS.includes(method);
  const name = isKnown ? method : "HTTP";
  const [end, begin] = [at, at - ms].map((time) => `${Math.round(time * 1_000)}000`);
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(state ? { traceState: state } : {}),
    ...(span.parentId === undefined ? {} : { parentSpanId: span.parentId }),
    name: route === undefined ? name : `${name} ${route}`,
    kind: SERVER,
    startTimeUnixNano: begin,
    endTimeUnixNano: end,
    attributes: attributesOf({
      "http.request.method": isKnown ? method : "_OTHER",
      "http.request.method_original": isKnown ? undefined : method,
      "http.response.status_code": status,
      "http.route": route,
      "url.path": path,
      "url.scheme": "http",
      "error.type": status >= 500 ? `${status}` : undefined,
    }),
    // A refusal or a mistake of the client is no error of the server.
    status: status >= 500 ? { code: ERROR } : {},
  };
}

export function attributesOf(values: Record<string, string | number | undefined>) {
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined
      ? []
      : [{ key, value: typeof value === "string" ? { stringValue: value } : { intValue: `${value}` } }],
  );
}
