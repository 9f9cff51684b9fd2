/** JSON that a person can read and a diff can show: what fits stands on one line, and so do lists of numbers. */
const WIDTH = 200;

export function written(value: unknown, indent = ""): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const line = inOneLine(value);
  const isNumbers = Array.isArray(value) && value.every((item) => typeof item === "number");
  if (isNumbers || indent.length + line.length <= WIDTH) return line;
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${partsOf(value, (item) => written(item, inner))
    .map((part) => inner + part)
    .join(",\n")}\n${indent}${close}`;
}

function inOneLine(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = partsOf(value, inOneLine).join(", ");
  if (Array.isArray(value)) return `[${parts}]`;
  return parts === "" ? "{}" : `{ ${parts} }`;
}

function partsOf(value: object, write: (item: unknown) => string): string[] {
  if (Array.isArray(value)) return value.map(write);
  return Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([name, item]) => `${JSON.stringify(name)}: ${write(item)}`);
}
