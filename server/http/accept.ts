/**
 * Which form of an answer a request wants (RFC 9110, 12.5.1). Ours, not hono/accepts (4.13), which knows no wildcard, takes what has
 * q=0, and answers with something where nothing fits.
 */

/** A form in which something can be answered: its type, and what a request may say of it besides. */
export interface Form {
  type: string;
  parameters: Readonly<Record<string, string>>;
}

interface Range {
  type: string;
  parameters: [name: string, value: string][];
  q: number;
}

/**
 * The form that is wanted most; undefined if none is wanted. Of those that are wanted as much it is the one that is named, and then the
 * first. Without an Accept, or with one that says nothing that can be read, it is the first.
 */
export function wantedOf<F extends Form>(accept: string | undefined, forms: readonly F[]): F | undefined {
  const ranges = partsOf(accept ?? "", ",").flatMap((part) => rangeOf(part) ?? []);
  if (ranges.length === 0) return forms[0];
  let wanted: { form: F; q: number; named: number } | undefined;
  for (const form of forms) {
    const [best] = ranges
      .map(({ q, ...range }) => ({ q, named: fitOf(range, form) }))
      .filter(({ named }) => named >= 0)
      .sort((a, b) => b.named - a.named);
    if (best === undefined || best.q === 0) continue;
    const isMore = !wanted || best.q > wanted.q || (best.q === wanted.q && best.named > wanted.named);
    if (isMore) wanted = { form, ...best };
  }
  return wanted?.form;
}

/** How closely a range names a form, from 0 (any) on; -1: it is another one. */
function fitOf({ type, parameters }: Omit<Range, "q">, form: Form): number {
  const isRight = parameters.every(([name, value]) => form.parameters[name] === value);
  const [all] = form.type.split("/");
  const place = ["*/*", `${all}/*`, form.type].indexOf(type);
  return isRight && place >= 0 ? place + parameters.length : -1;
}

function rangeOf(part: string): Range | undefined {
  const [type = "", ...given] = partsOf(part, ";").map((each) => each.trim().toLowerCase());
  if (!/^[\w.+*-]+\/[\w.+*-]+$/.test(type)) return undefined;
  const parameters = given.flatMap((each): [string, string][] => {
    const [, name, value] = each.match(/^([^\s=]+)="?([^"]*)"?$/) ?? [];
    return name === undefined ? [] : [[name, value as string]];
  });
  const weight = parameters.find(([name]) => name === "q")?.[1] ?? "1";
  if (!/^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight)) return undefined;
  return { type, parameters: parameters.filter(([name]) => name !== "q"), q: Number(weight) };
}

/** What stands between separators that are not in quotes. */
function partsOf(text: string, separator: "," | ";"): string[] {
  return text.match(new RegExp(`(?:[^"${separator}]|"(?:[^"\\\\]|\\\\.)*")+`, "g")) ?? [];
}
