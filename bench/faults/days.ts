/** Days of UTC, YYYY-MM-DD. */
export const DAY_MS = 86_400_000;

/** Of an instant, ms since 1970. */
export function dayAt(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** 1: Monday. */
export function weekdayOf(day: string): number {
  return new Date(day).getUTCDay() || 7;
}
