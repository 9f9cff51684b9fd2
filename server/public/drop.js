/** A drop in pictures: what was asked, issued and refused, a bar for each bucket of time. The timeline's table has the numbers. */
import { find, html, mark, put } from "./elements.js";
import { amount } from "./words.js";

/** @typedef {import("../api/contract-types.ts").AnswerOf<"couponTimeline">["buckets"]} Buckets */

/** Height of a picture. */
const HEIGHT = 32;

/**
 * Each picture has a scale of its own, since so few of so many get one.
 * @param {HTMLElement} element
 * @param {Buckets} buckets
 * @param {string} each What a bucket is, in words.
 * @param {number[]} before Of the buckets, those that end before each start: the group's, and everybody's.
 */
export function drawDrop(element, buckets, each, before) {
  const starts = before
    .filter((place) => place > 0 && place < buckets.length)
    .map((place) => `M${place} 0V${HEIGHT}`)
    .join("");
  for (const [name, one, many] of /** @type {const} */ ([
    ["asked", "request", "requests"],
    ["grants", "issued", "issued"],
    ["refused", "refused", "refused"],
  ])) {
    const figure = html(`.${name}`, element);
    const bars = buckets.map((bucket) => bucket[name]);
    const most = Math.max(...bars, 1);
    const path = bars
      .map((n, x) => (n === 0 ? "" : `M${x} ${HEIGHT}v${((-HEIGHT * n) / most).toFixed(2)}h.9V${HEIGHT}z`))
      .join("");
    const sum = bars.reduce((all, n) => all + n, 0);
    const text = `${amount(sum)} ${sum === 1 ? one : many}${sum === 0 ? "" : `, at most ${amount(most)} per ${each}`}`;
    const picture = find("svg", SVGElement, figure);
    mark(picture, { viewBox: `0 0 ${Math.max(1, buckets.length)} ${HEIGHT}`, "aria-label": text });
    mark(find(".bars", SVGPathElement, figure), { d: path });
    mark(find(".start", SVGPathElement, figure), { d: starts });
    put(html("figcaption", figure), text);
  }
}
