/** Claim codes, as the page knows them: what was misread is not sent. */
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZU";

/**
 * The code in a text that was scanned or typed, in one spelling; undefined if it is none, or one that was misread: the last character
 * is the number modulo 33 (sql/README.md).
 * @param {string} text
 */
export function codeIn(text) {
  // A scanner made for another keyboard types ß for a hyphen, which in capitals would be two letters.
  const code = text
    .replace(/[^0-9A-Za-z]/g, "")
    .toUpperCase()
    .replace(/[IL]/g, "1")
    .replace(/O/g, "0");
  const digits = [...code].map((character) => DIGITS.indexOf(character));
  const check = digits.slice(0, 11).reduce((sum, digit) => (sum * 32 + digit) % 33, 0);
  const isCode = digits.length === 12 && !digits.includes(-1) && !digits.slice(0, 11).includes(32);
  return isCode && check === digits[11] ? code.replace(/^(....)(....)/, "$1-$2-") : undefined;
}
