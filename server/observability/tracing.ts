/** Traces as the environment asks for them. Loaded only when it does. */
import { version } from "../api/version.ts";
import type { Clock } from "../clock.ts";
import type { Env } from "../env.ts";
import { headersOf, pairsOf } from "../trace-settings.ts";
import { createExporter } from "./otlp.ts";
import { createTracer, samplerOf } from "./tracer.ts";

/** Exports spans to the collector at `endpoint`, the base of OTLP's addresses. */
export function createTracing(
  env: Env,
  endpoint: string,
  clock: Clock,
  onFailure: (error: unknown) => void,
  send?: typeof fetch,
) {
  const { OTEL_SERVICE_NAME: name } = env;
  const resource = {
    "service.name": "coupon-drop",
    "service.version": version,
    ...pairsOf(env.OTEL_RESOURCE_ATTRIBUTES),
    ...(name === undefined ? {} : { "service.name": name }),
  };
  const url = endpoint.replace(/\/?$/, "/v1/traces");
  const headers = headersOf(env.OTEL_EXPORTER_OTLP_HEADERS);
  const exporter = createExporter({ url, headers, resource, version }, clock, onFailure, send);
  const isSampled = samplerOf(env.OTEL_TRACES_SAMPLER, env.OTEL_TRACES_SAMPLER_ARG);
  return { exporter, tracer: createTracer(isSampled, exporter, clock) };
}
