/** What OpenTelemetry's variables may say. */

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
