/** A day: what asks for more is no plan but a mistake, and timers take 24 days at most before they fire at once. */
const MOST = 86_400;

/** What a Retry-After asks for, in seconds: it says seconds, or a date. Null: nothing that can be read. */
export function retryAfterOf(given: string | null | undefined, wall: number): number | null {
  if (given == null) return null;
  const seconds = /^\d+$/.test(given) ? Number(given) : (Date.parse(given) - wall) / 1_000;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(0, Math.ceil(seconds)), MOST);
}
