/** JSON for files that are kept and compared line by line. What fits stands on one line, and so does a list of plain values. */
const WIDTH = 240;

export function compactJson(value: unknown, indent = ""): string {
  const line = inOneLine(value);
  if (value === null || typeof value !== "object") return line;
  const isFlat = Object.values(value).every((member) => member === null || typeof member !== "object");
  if (isFlat || indent.length + line.length <= WIDTH) return line;
  const deeper = `${indent}  `;
  const lines = membersOf(value, (member) => compactJson(member, deeper)).map((member) => deeper + member);
  const [begin, end] = Array.isArray(value) ? "[]" : "{}";
  return `${begin}\n${lines.join(",\n")}\n${indent}${end}`;
}

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
