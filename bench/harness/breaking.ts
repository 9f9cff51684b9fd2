/**
 * What of a change of the API's document would break a client that was made for the document before. Of what is on npm, openapi-diff
 * knows OpenAPI up to 3.0, and oasdiff is no package.
 */
import { dereferenced } from "./documented.ts";

interface Shape {
  type?: string | string[];
  format?: string;
  properties?: Record<string, Shape>;
  required?: string[];
  items?: Shape;
  anyOf?: Shape[];
  enum?: unknown[];
  const?: unknown;
  additionalProperties?: Shape | boolean;
  $defs?: { item?: Shape };
  [bound: string]: unknown;
}

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  schema: Shape;
}

type Contents = Record<string, { schema: Shape }>;

interface Operation {
  operationId: string;
  /** Each: a way to be let in, which is a role. */
  security?: Record<string, string[]>[];
  parameters: Parameter[];
  requestBody?: { required: boolean; content: Contents };
  responses: Record<string, { headers: object; content?: Contents }>;
}

export interface Document {
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

/** Whether a shape is sent by clients, who must not be asked for more than before, or told to them, who must not miss anything. */
type Way = "sent" | "told";

/** Of a shape that is sent: less than before would be taken. */
const LOWER = ["maximum", "maxLength", "maxItems", "exclusiveMaximum"];
const HIGHER = ["minimum", "minLength", "minItems", "exclusiveMinimum"];

/** One line for each change that breaks a client; none for what is added, and for descriptions and examples. */
export function breaking(before: Document, after: Document): string[] {
  const found: string[] = [];
  for (const name of Object.keys(before.components.schemas))
    if (!(name in after.components.schemas)) found.push(`the component ${name} is gone`);
  const [old, now] = [before, after].map((each) => dereferenced(each) as Document) as [Document, Document];
  for (const [path, operations] of Object.entries(old.paths))
    for (const [method, operation] of Object.entries(operations)) {
      const where = `${method.toUpperCase()} ${path}`;
      const next = now.paths[path]?.[method];
      if (next) found.push(...ofOperation(operation, next).map((what) => `${where}: ${what}`));
      else found.push(`${where} is gone`);
    }
  return found;
}

function ofOperation(before: Operation, after: Operation): string[] {
  const found: string[] = [];
  if (before.operationId !== after.operationId) found.push(`it is called ${after.operationId}`);
  const isOpen = ({ security }: Operation) =>
    security?.length === 0 || security?.some((one) => Object.keys(one).length === 0);
  if (isOpen(before) && !isOpen(after)) found.push("it needs a token");
  const gone = rolesOf(before).filter((role) => !rolesOf(after).includes(role));
  if (after.security?.length !== 0 && gone.length > 0) found.push(`${gone} may not call it any more`);
  found.push(...ofParameters(before.parameters, after.parameters));
  const [body, nextBody] = [before.requestBody, after.requestBody];
  if (nextBody?.required && !body?.required) found.push("it needs a body");
  if (body) found.push(...ofContents(body.content, nextBody?.content ?? {}, "sent", "body"));
  for (const [status, { headers, content = {} }] of Object.entries(before.responses)) {
    const next = after.responses[status];
    if (next === undefined) {
      found.push(`${status} is gone`);
      continue;
    }
    for (const name of Object.keys(headers))
      if (!(name in next.headers)) found.push(`${status}: the header ${name} is gone`);
    found.push(...ofContents(content, next.content ?? {}, "told", status));
  }
  return found;
}

const rolesOf = ({ security = [] }: Operation) => security.flatMap((one) => Object.values(one).flat());

function ofParameters(before: Parameter[], after: Parameter[]): string[] {
  const found: string[] = [];
  const of = (list: Parameter[], wanted: Parameter) =>
    list.find((one) => one.name === wanted.name && one.in === wanted.in);
  for (const parameter of before) {
    const next = of(after, parameter);
    if (next) found.push(...ofShape(parameter.schema, next.schema, "sent", parameter.name));
    else found.push(`the parameter ${parameter.name} is gone`);
  }
  for (const parameter of after)
    if (parameter.required && !of(before, parameter)?.required)
      found.push(`it needs the parameter ${parameter.name}`);
  return found;
}

function ofContents(before: Contents, after: Contents, way: Way, where: string): string[] {
  return Object.entries(before).flatMap(([type, { schema }]) => {
    const next = after[type]?.schema;
    if (next === undefined) return [`${where}: ${type} is gone`];
    const [item, nextItem] = [schema.$defs?.item, next.$defs?.item];
    const found = ofShape(schema, next, way, where);
    if (item && nextItem) found.push(...ofShape(item, nextItem, way, `${where}: an item`));
    else if (item) found.push(`${where}: the item is gone`);
    return found;
  });
}

function ofShape(before: Shape, after: Shape, way: Way, where: string): string[] {
  const found = ofKind(before, after, way).map((what) => `${where}: ${what}`);
  const [members, next] = [membersOf(before), membersOf(after)];
  const needs = (shape: Shape, name: string, isNeeded = true) =>
    objectsOf(shape).filter(({ required = [] }) => required.includes(name) === isNeeded).length;
  for (const [name, member] of Object.entries(members)) {
    if (!next[name]) found.push(`${where}: ${name} is gone`);
    else found.push(...ofShape(member, next[name], way, `${where}: ${name}`));
    if (way === "told" && next[name] && needs(after, name, false) > needs(before, name, false))
      found.push(`${where}: ${name} may be missing`);
  }
  for (const name of way === "sent" ? Object.keys(next) : [])
    if (needs(after, name) > needs(before, name)) found.push(`${where}: ${name} is needed`);
  const [items, nextItems] = [itemsOf(before), itemsOf(after)];
  if (items && nextItems) found.push(...ofShape(items, nextItems, way, `${where}[]`));
  const [others, nextOthers] = [othersOf(before), othersOf(after)];
  if (others && nextOthers) found.push(...ofShape(others, nextOthers, way, `${where}{}`));
  else if (others)
    found.push(`${where}: other members are ${way === "sent" ? "not taken any more" : "gone"}`);
  return found;
}

/** What a shape may be, null too. */
const partsOf = (shape: Shape): Shape[] => shape.anyOf?.flatMap(partsOf) ?? [shape];
const objectsOf = (shape: Shape) => partsOf(shape).filter(({ properties }) => properties);

/** What is in any list that it may be. */
const itemsOf = (shape: Shape) =>
  oneOf(partsOf(shape).flatMap(({ items }): Shape[] => (items ? [items] : [])));

/** What members without a name are in any object that it may be: in a map all, in a closed object none. */
const othersOf = (shape: Shape) =>
  oneOf(
    partsOf(shape)
      .filter(({ type }) => [type].flat().includes("object"))
      .flatMap(({ additionalProperties: others = true }): Shape[] =>
        others === false ? [] : [others === true ? {} : others],
      ),
  );

const oneOf = (shapes: Shape[]) => (shapes.length > 1 ? { anyOf: shapes } : shapes[0]);

/** A member that several objects have may be what it is in any of them. */
function membersOf(shape: Shape): Record<string, Shape> {
  const members: Record<string, Shape> = {};
  for (const { properties = {} } of objectsOf(shape))
    for (const [name, member] of Object.entries(properties))
      members[name] = members[name] ? { anyOf: [members[name], member] } : member;
  return members;
}

/** Types and values: nothing that was sent may be refused, nothing of a new kind may be told. */
function ofKind(before: Shape, after: Shape, way: Way): string[] {
  const found: string[] = [];
  const [wide, narrow] = way === "sent" ? [after, before] : [before, after];
  const lost = kindsOf(wide).includes(ANY)
    ? []
    : kindsOf(narrow).filter((kind) => !kindsOf(wide).includes(kind));
  if (lost.length > 0) found.push(way === "sent" ? `it is no ${lost} any more` : `it may be ${lost}`);
  const values = valuesOf(before);
  const left = valuesOf(after);
  if (values && left) {
    const gone = values.filter((value) => !left.includes(value));
    if (gone.length > 0) found.push(`${gone} is gone`);
  } else if (way === "sent" && left) found.push(`only ${left} is taken`);
  if (way === "told") return found;
  const given = (shape: Shape, bound: string) =>
    partsOf(shape).flatMap((part) => (part[bound] as number) ?? []);
  const most = (shape: Shape, bound: string) => Math.max(...orElse(given(shape, bound), Infinity));
  const least = (shape: Shape, bound: string) => Math.min(...orElse(given(shape, bound), -Infinity));
  for (const bound of LOWER)
    if (most(after, bound) < most(before, bound)) found.push(`${bound} is ${most(after, bound)}`);
  for (const bound of HIGHER)
    if (least(after, bound) > least(before, bound)) found.push(`${bound} is ${least(after, bound)}`);
  const patterns = given(before, "pattern");
  if (given(after, "pattern").some((pattern) => !patterns.includes(pattern)))
    found.push("it has another pattern");
  return found;
}

const orElse = (bounds: number[], none: number) => (bounds.length > 0 ? bounds : [none]);

/** The kind of what has no type: it may be of each. */
const ANY = "value of any kind";

/** integer:int64, null … */
function kindsOf({ type, format, anyOf, const: constant, enum: values }: Shape): string[] {
  if (anyOf) return anyOf.flatMap(kindsOf);
  if (type === undefined && constant !== undefined) return [typeof constant];
  if (type === undefined && values) return [...new Set(values.map((value) => typeof value))];
  return [type ?? ANY].flat().map((one) => (format && one !== "null" ? `${one}:${format}` : one));
}

/** None: it may have any. */
function valuesOf(shape: Shape): unknown[] | undefined {
  const given = partsOf(shape)
    .filter(({ type }) => type !== "null")
    .map(({ const: constant, enum: values }) => values ?? (constant === undefined ? undefined : [constant]));
  return given.includes(undefined) ? undefined : given.flat();
}
