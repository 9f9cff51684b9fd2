/** Makes a change of a request that is right so far. */
import type { Caller } from "./callers.ts";
import type { Change } from "./changes.ts";
import type { Json } from "./values.ts";

export interface Parts {
  caller: Caller;
  path: Record<string, Json>;
  query: [string, string][];
  body: Json | undefined;
  headers: Record<string, string>;
}

export function applyTo(parts: Parts, given: Change): void {
  switch (given.change) {
    case "caller":
      parts.caller = given.to;
      break;
    case "header":
      parts.headers[given.name] = given.to;
      break;
    case "query": {
      const place = given.at % Math.max(1, parts.query.length);
      const found = parts.query[place];
      if (given.how === "extra" || !found) parts.query.push([`x${given.at}`, textOf(given.to)]);
      else if (given.how === "drop") parts.query.splice(place, 1);
      else if (given.how === "repeat") parts.query.push([found[0], textOf(given.to)]);
      else found[1] = textOf(given.to);
      break;
    }
    case "body":
      if (parts.body !== undefined) parts.body = changed(parts.body, given);
  }
}

/** The value with one of its nodes changed, counted from the root. */
function changed(root: Json, { at: place, how, to }: Extract<Change, { change: "body" }>): Json {
  type Holder = Record<string, Json>;
  const copy = structuredClone(root);
  const nodes: [Holder, string][] = [];
  const walk = (value: Json) => {
    if (value === null || typeof value !== "object") return;
    for (const [name, member] of Object.entries(value)) {
      nodes.push([value as Holder, name]);
      walk(member);
    }
  };
  walk(copy);
  const [holder, name] = nodes[place % Math.max(1, nodes.length)] ?? [];
  const target = (Array.isArray(holder) ? undefined : holder) ?? copy;
  if (holder === undefined || name === undefined) return to;
  if (how === "drop") delete holder[name];
  else if (how === "replace") holder[name] = to;
  else if (target !== null && typeof target === "object")
    Object.defineProperty(target, how === "extra" ? `x${place}` : "__proto__", {
      value: to,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return copy;
}

/** JSON that is none any more, or is in another way than JSON.stringify() writes it. */
export function rewritten(json: string, { at: place, how, to }: Extract<Change, { change: "text" }>): string {
  const here = place % (json.length + 1);
  switch (how) {
    case "cut":
      return json.slice(0, here);
    case "insert":
      return json.slice(0, here) + to + json.slice(here);
    case "repeat":
      return json + json;
    case "bom":
      return `\ufeff${json}`;
    case "comma":
      return json.replace(/[}\]]/, (end) => `,${end}`);
    case "comment":
      return `/* ${place} */${json}`;
    case "number":
      return json.replace(/\d+/, to);
    case "double":
      return json.replace(
        /^\{("[^"]*"):/,
        (begin, name) => `{${name}:${JSON.stringify(to)},${begin.slice(1)}`,
      );
    case "whole":
      return to;
  }
}

/** As it stands in a URL, before it is encoded. */
export function textOf(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
