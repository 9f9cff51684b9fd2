/** The metadata of a coupon, as an operator reads and writes it: the text of a JSON object, or nothing. */
import { CouponError } from "./client.js";

/** @param {Record<string, unknown>} metadata */
export const metadataText = (metadata) =>
  Object.keys(metadata).length === 0 ? "" : JSON.stringify(metadata, null, 2);

/**
 * What it means. Fails as the service does, which is not asked then.
 * @param {string} text
 * @returns {Record<string, unknown>}
 */
export function metadataIn(text) {
  if (text.trim() === "") return {};
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(`is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw wrong('must be a JSON object, like {"campaign": "autumn"}');
  if (withoutTexts(text).split(":").length - 1 !== membersOf(value)) throw wrong("has a member twice");
  const inexact = numbersIn(text).find((number) => digitsOf(number) !== digitsOf(`${Number(number)}`));
  if (inexact !== undefined)
    throw wrong(`has a number with more digits than a page can keep: ${inexact}. Put it in quotes.`);
  return value;
}

/** @param {string} detail */
const wrong = (detail) =>
  new CouponError("invalid_request", `metadata: ${detail}`, { errors: [{ member: "metadata", detail }] });

/**
 * What is no string in a text that is JSON.
 * @param {string} text
 */
const withoutTexts = (text) => text.replace(/"(\\.|[^"\\])*"/g, "");

/**
 * The numbers of a text that is JSON, as they are written.
 * @param {string} text
 */
const numbersIn = (text) => withoutTexts(text).match(/-?\d[\d.eE+-]*/g) ?? [];

/**
 * How many members its objects have: fewer than it names where one is named twice.
 * @param {unknown} value
 * @returns {number}
 */
const membersOf = (value) =>
  typeof value !== "object" || value === null
    ? 0
    : Object.values(value).reduce(
        (sum, each) => sum + membersOf(each),
        Array.isArray(value) ? 0 : Object.keys(value).length,
      );

/**
 * The digits that count. A double has as many of them as were given, or others.
 * @param {string} number
 */
const digitsOf = (number) =>
  number
    .replace(/e.*/i, "")
    .replace(/\D/g, "")
    .replace(/^0+|0+$/g, "");
