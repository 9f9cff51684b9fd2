/** What OpenTelemetry's variables may say. */
import { z } from "zod";
import { isWebAddress } from "./web-address.ts";

/** Of OpenTelemetry's specification; what each says is in observability/tracer.ts. */
export const SAMPLERS = [
  ...(["always_on", "always_off", "traceidratio"] as const),
  ...(["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"] as const),
] as const;

/** `key=value,key=value`, values percent-encoded: as OpenTelemetry writes lists in variables. */
export function pairsOf(text: string): Record<string, string> {
  const pairs = text.split(",").filter((pair) => pair.trim() !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = pair.match(/^\s*([^\s=]+)\s*=\s*(.*?)\s*$/) ?? [];
      if (key === undefined || value === undefined) throw new Error("must be key=value,key=value");
      try {
        return [key, decodeURIComponent(value)];
      } catch {
        throw new Error("values must be percent-encoded");
      }
    }),
  );
}

/** The pairs as headers. What fetch() would refuse at each request, with words that quote it, is told here, with words that don't. */
export function headersOf(text: string): Record<string, string> {
  const pairs = pairsOf(text);
  try {
    new Headers(pairs);
    return pairs;
  } catch {
    throw new Error(
      "keys must be names of headers, and values have no line break and no character beyond Latin-1",
    );
  }
}

/** The address of a collector: a base for paths. */
export const collectorAddress = z
  .string()
  .refine(
    (text) => isWebAddress(text) && !/[?#]/.test(text),
    "must be a URL like http://collector.example:4318, without ? and #; a name, a password or a key go into OTEL_EXPORTER_OTLP_HEADERS",
  );
