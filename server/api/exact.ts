/**
 * JSON whose numbers stay what they are. JavaScript's own reading rounds those that a double cannot hold (750727362669608961 becomes
 * …609000), and Node 20 has no JSON.rawJSON(). Such a number is kept as a string: a NUL and its digits. No other string looks like it,
 * since PostgreSQL stores no NUL and requests with one are refused.
 */

/** Strings, so that digits in them are left alone; numbers. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
/** The least that a double cannot hold: 16 digits, or an exponent; or a given string that looks like a kept number. */
const SUSPECT = /[\d.]{16}|\d[eE]|"\\u0000/;
const WRITTEN = /"\\u0000(-?\d[\d.eE+-]*)"/g;
const KEPT = /^\0-?\d[\d.eE+-]*$/;
const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];

/** Parses JSON, and keeps the numbers that a double cannot hold. */
export function parseExact(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return SUSPECT.test(text) ? JSON.parse(text.replace(TOKENS, keep)) : value;
}

/** Writes JSON, and kept numbers as they were read. */
export function stringifyExact(value: unknown): string {
  const text = JSON.stringify(value);
  return text.includes('"\\u0000') ? text.replace(WRITTEN, "$1") : text;
}

/**
 * Whether an object in this JSON has a member twice. Which of them counts is the reader's to choose (RFC 8259, 4): a gateway in front may
 * have looked at the other one. Outside strings a colon stands behind a member's name and nowhere else.
 */
export function repeatsMember(text: string, value: unknown): boolean {
  return colonsOf(text) !== membersOf(value);
}

function colonsOf(text: string): number {
  let colons = 0;
  let isString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) isString = !isString;
    else if (isString && character === BACKSLASH) at += 1;
    else if (!isString && character === COLON) colons += 1;
  }
  return colons;
}

/** Without recursion: it may be of any depth. */
function membersOf(value: unknown): number {
  let members = 0;
  const left = [value];
  while (left.length > 0) {
    const one = left.pop();
    if (typeof one !== "object" || one === null) continue;
    const values = Object.values(one);
    if (!Array.isArray(one)) members += values.length;
    for (const each of values) left.push(each);
  }
  return members;
}

/** The digits of a kept number. */
export function keptNumber(value: unknown): string | undefined {
  return typeof value === "string" && KEPT.test(value) ? value.slice(1) : undefined;
}

function keep(token: string): string {
  // A given string that begins with NUL begins with two afterwards, and is refused as before.
  if (token.startsWith('"')) return token.startsWith('"\\u0000') ? `"\\u0000${token.slice(1)}` : token;
  return spelled(token) === spelled(String(Number(token))) ? token : `"\\u0000${token}"`;
}

/** How many zeros are at the end. Not by a regular expression: that would begin anew at each zero amid the digits. */
function zerosAt(digits: string): number {
  let zeros = 0;
  while (digits.at(-1 - zeros) === "0") zeros += 1;
  return zeros;
}

/** The one spelling of a number: its digits without zeros at either end, and the power of ten of the last one. */
function spelled(number: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    number.match(/^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const short = digits.slice(0, digits.length - zerosAt(digits));
  if (short === "") return number === "Infinity" ? number : "0";
  return `${sign}${short}e${Number(exponent) - fraction.length + digits.length - short.length}`;
}
