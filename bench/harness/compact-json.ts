/** JSON to keep and to compare line by line: what holds nothing but plain values stands on one line. */
export function compactJson(value: unknown, indent = ""): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => [isList ? "" : `${JSON.stringify(name)}: `, member] as const);
  const [begin, end] = isList ? ["[", "]"] : ["{", "}"];
  const isFlat = members.every(([, member]) => member === null || typeof member !== "object");
  if (isFlat) {
    const line = members.map(([name, member]) => `${name}${JSON.stringify(member)}`).join(", ");
    return isList || line === "" ? `${begin}${line}${end}` : `${begin} ${line} ${end}`;
  }
  const deeper = `${indent}  `;
  const lines = members.map(([name, member]) => `${deeper}${name}${compactJson(member, deeper)}`);
  return `${begin}\n${lines.join(",\n")}\n${indent}${end}`;
}
