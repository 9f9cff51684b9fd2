/** Calls of functions: which arguments, and as which statement. */
import fc from "fast-check";
import { type Arg, argument } from "./arguments.ts";
import type { Fn } from "./functions.ts";
import { WITHDRAWN } from "./values.ts";

export interface Call {
  fn: Fn;
  args: Arg[];
  /** So many are given, from the first; the rest by their defaults. */
  given: number;
  isNamed: boolean;
}

/** Calls that are made as they are, by a function's name: nobody would draw all of their arguments at once. */
const KNOWN: Readonly<Record<string, Readonly<Record<string, string>>>> = { create_coupon: WITHDRAWN };

function callTo(fn: Fn): fc.Arbitrary<Call> {
  const known = KNOWN[fn.name];
  return known
    ? fc.oneof({ weight: 9, arbitrary: anyCallTo(fn) }, { weight: 1, arbitrary: asKnown(fn, known) })
    : anyCallTo(fn);
}

function asKnown(fn: Fn, known: Readonly<Record<string, string>>): fc.Arbitrary<Call> {
  const args = fn.args.map(({ name }): Arg => ({ text: known[name] ?? null, isReadable: true }));
  return fc.constant({ fn, args, given: fn.args.filter(({ name }) => name in known).length, isNamed: true });
}

function anyCallTo(fn: Fn): fc.Arbitrary<Call> {
  const optional = fn.args.filter(({ isOptional }) => isOptional).length;
  return fc.record({
    fn: fc.constant(fn),
    args: fc.tuple(...fn.args.map(argument)),
    given: fc.integer({ min: fn.args.length - optional, max: fn.args.length }),
    isNamed: fc.boolean(),
  });
}

/** Those that hold leases that a change must outlive, read all grants, rewrite all coupons or leave fewer users: fewer. */
const WEIGHTS: Readonly<Record<string, number>> = {
  set_time_zone: 2,
  coupon_leases: 4,
  reconcile: 2,
  forget_user: 2,
  daily_summary: 5,
};

export function anyCall(functions: readonly Fn[]): fc.Arbitrary<Call> {
  return fc.oneof(...functions.map((fn) => ({ weight: WEIGHTS[fn.name] ?? 20, arbitrary: callTo(fn) })));
}

// ---- As a statement -------------------------------------------------------------------------------------------------------

/** The statement and its parameters, all of them text. */
export function statementOf({ fn, args, given, isNamed }: Call): {
  text: string;
  parameters: (string | null)[];
} {
  const used = args.slice(0, given);
  const values = used.map(({ encoding }, i) => {
    const parameter = `$${i + 1}::text`;
    const { name, type } = fn.args[i] as Fn["args"][number];
    const value =
      encoding === undefined ? `${parameter}::${type}` : `convert_from(${parameter}::bytea, '${encoding}')`;
    return isNamed ? `"${name}" => ${value}` : value;
  });
  return {
    text: `select * from public.${fn.name}(${values.join(", ")})`,
    parameters: used.map(({ text }) => text),
  };
}

/** The same as one line that psql takes. */
export function pasteable(call: Call): string {
  const { text, parameters } = statementOf(call);
  return `${text.replace(/\$(\d+)::text/g, (_, n) => {
    const value = parameters[Number(n) - 1] ?? null;
    if (value === null) return "null";
    const shown = value.length > 500 ? `${value.slice(0, 100)}… (${value.length} characters)` : value;
    return `'${shown.replaceAll("'", "''")}'`;
  })};`;
}
