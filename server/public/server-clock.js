/** Of a device's clock that was set: more than the two clocks below differ by chance, ms. */
const CLOCK_WAS_SET = 100;

/**
 * The service's clock, told by the answers that carry it. Each was on its way for a while, so the one that seems latest is the
 * best known; old ones are forgotten, since clocks drift, and all of them when the device's clock was set or the device slept: then
 * Date.now() moves and performance.now() does not.
 */
export function createServerClock() {
  /** @type {number[]} */
  const offsets = [];
  /** Date.now() - performance.now() at the last answer. */
  let apart = 0;
  return {
    /**
     * @param {unknown} serverTime
     * @param {number} [age] How old that was when it was answered, ms.
     */
    heard(serverTime, age = 0) {
      const at = typeof serverTime === "string" ? Date.parse(serverTime) + age : Number.NaN;
      if (!Number.isFinite(at)) return;
      const now = Date.now();
      const apartNow = now - performance.now();
      if (Math.abs(apartNow - apart) > CLOCK_WAS_SET) offsets.length = 0;
      apart = apartNow;
      offsets.push(at - now);
      if (offsets.length > 30) offsets.shift();
    },
    /** ms since 1970, by the service's clock as far as it is known. */
    now() {
      const now = Date.now();
      if (offsets.length === 0) return now;
      const moved = now - performance.now() - apart;
      // Only setting it moves a clock back. Forward it also moves by sleeping, and then it is right until the next answer.
      const wasSetBack = moved < -CLOCK_WAS_SET;
      return now + Math.max(...offsets) - (wasSetBack ? moved : 0);
    },
  };
}
