/**
 * The service's clock, told by the answers that carry it. Each was on its way for a while, so the one that seems latest is the
 * best known; old ones are forgotten, since clocks drift.
 */
export function createServerClock() {
  /** @type {number[]} */
  const offsets = [];
  return {
    /** @param {unknown} serverTime */
    heard(serverTime) {
      if (typeof serverTime !== "string") return;
      offsets.push(Date.parse(serverTime) - Date.now());
      if (offsets.length > 30) offsets.shift();
    },
    /** ms since 1970, by the service's clock as far as it is known. */
    now: () => Date.now() + (offsets.length > 0 ? Math.max(...offsets) : 0),
  };
}
