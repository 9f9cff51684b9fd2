/**
 * JSON for files that are kept and compared line by line. What fits stands on one line, and so do a list of plain values and a
 * measurement: an object of plain values and of figures.
 */
const WIDTH = 240;

export function compactJson(value: unknown, indent = ""): string {
  const line = inOneLine(value);
  if (value === null || typeof value !== "object") return line;
  if (isPlainList(value) || isMeasure(value) || indent.length + line.length <= WIDTH) return line;
  const deeper = `${indent}  `;
  const lines = membersOf(value, (member) => compactJson(member, deeper)).map((member) => deeper + member);
  const [begin, end] = Array.isArray(value) ? "[]" : "{}";
  return `${begin}\n${lines.join(",\n")}\n${indent}${end}`;
}

const isPlain = (value: unknown): boolean => value === null || typeof value !== "object";

const isPlainList = (value: unknown): boolean => Array.isArray(value) && value.every(isPlain);

/** A figure: one number, or a middle with its range. */
const isFigure = (value: unknown): boolean =>
  Array.isArray(value)
    ? value.length <= 3 && value.every((one) => typeof one === "number")
    : typeof value === "number";

const isFigures = (value: unknown): boolean =>
  !Array.isArray(value) && Object.values(value as object).every(isFigure);

const isMeasure = (value: object): boolean =>
  !Array.isArray(value) &&
  Object.values(value).every((member) => isPlain(member) || isFigure(member) || isFigures(member));

function inOneLine(value: unknown): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = membersOf(value, inOneLine).join(", ");
  if (Array.isArray(value)) return `[${members}]`;
  return members === "" ? "{}" : `{ ${members} }`;
}

function membersOf(value: object, write: (member: unknown) => string): string[] {
  if (Array.isArray(value)) return value.map(write);
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `${JSON.stringify(name)}: ${write(member)}`);
}
