/** A day: what asks for more is no plan but a mistake, and timers take 24 days at most before they fire at once. */
const MOST = 86_400;

/** What a Retry-After asks for, in seconds: it says seconds, or a date. Of several that fetch() joined, the first. Null: nothing that can be read. */
export function retryAfterOf(given: string | null | undefined, wall: number): number | null {
  if (given == null) return null;
  // Date.parse() would take 1.5 for a day of 2001.
  const [, number] = given.match(/^(\d+(?:\.\d+)?) *(?:,|$)/) ?? [];
  const seconds = number === undefined ? (timeOf(given) - wall) / 1_000 : Number(number);
  return Number.isNaN(seconds) ? null : Math.min(Math.max(0, Math.ceil(seconds)), MOST);
}

/** One of HTTP's three forms of a date ends with the year, and means GMT too (RFC 9110, 5.6.7). */
const timeOf = (date: string) => Date.parse(/ \d{4}$/.test(date) ? `${date} GMT` : date);
