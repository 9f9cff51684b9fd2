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
  security?: object[];
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
    return [
      ...ofShape(schema, next, way, where),
      ...(item && nextItem ? ofShape(item, nextItem, way, `${where}: an item`) : []),
    ];
  });
}

function ofShape(before: Shape, after: Shape, way: Way, where: string): string[] {
  const found = ofKind(before, after, way).map((what) => `${where}: ${what}`);
  const [members, next] = [membersOf(before), membersOf(after)];
  const needs = (shape: Shape, name: string) =>
    partsOf(shape).some(({ required }) => required?.includes(name));
  for (const [name, member] of Object.entries(members)) {
    if (!next[name]) found.push(`${where}: ${name} is gone`);
    else found.push(...ofShape(member, next[name], way, `${where}: ${name}`));
    if (way === "told" && next[name] && needs(before, name) && !needs(after, name))
      found.push(`${where}: ${name} may be missing`);
  }
  for (const name of way === "sent" ? Object.keys(next) : [])
    if (needs(after, name) && !needs(before, name)) found.push(`${where}: ${name} is needed`);
  const [items, nextItems] = [itemsOf(before), itemsOf(after)];
  if (items && nextItems) found.push(...ofShape(items, nextItems, way, `${where}[]`));
  return found;
}

/** Of a shape that may be null: what else it may be. */
const partsOf = (shape: Shape): Shape[] => shape.anyOf ?? [shape];
const membersOf = (shape: Shape) => partsOf(shape).find(({ properties }) => properties)?.properties ?? {};
const itemsOf = (shape: Shape) => partsOf(shape).find(({ items }) => items)?.items;

/** Types and values: nothing that was sent may be refused, nothing of a new kind may be told. */
function ofKind(before: Shape, after: Shape, way: Way): string[] {
  const found: string[] = [];
  const [wide, narrow] = way === "sent" ? [after, before] : [before, after];
  const lost = kindsOf(narrow).filter((kind) => !kindsOf(wide).includes(kind));
  if (lost.length > 0) found.push(way === "sent" ? `it is no ${lost} any more` : `it may be ${lost}`);
  const values = valuesOf(before);
  const left = valuesOf(after);
  if (values && left) {
    const gone = values.filter((value) => !left.includes(value));
    if (gone.length > 0) found.push(`${gone} is gone`);
  } else if (way === "sent" && left) found.push(`only ${left} is taken`);
  if (way === "told") return found;
  const at = (shape: Shape, bound: string, none: number) => (shape[bound] as number | undefined) ?? none;
  for (const bound of LOWER)
    if (at(after, bound, Infinity) < at(before, bound, Infinity)) found.push(`${bound} is ${after[bound]}`);
  for (const bound of HIGHER)
    if (at(after, bound, -Infinity) > at(before, bound, -Infinity)) found.push(`${bound} is ${after[bound]}`);
  if (after["pattern"] !== undefined && after["pattern"] !== before["pattern"])
    found.push("it has another pattern");
  return found;
}

/** integer:int64, null … */
function kindsOf({ type, format, anyOf, const: constant, enum: values }: Shape): string[] {
  if (anyOf) return anyOf.flatMap(kindsOf);
  if (type === undefined && constant !== undefined) return [typeof constant];
  if (type === undefined && values) return [...new Set(values.map((value) => typeof value))];
  return [type ?? []].flat().map((one) => (format && one !== "null" ? `${one}:${format}` : one));
}

function valuesOf({ const: constant, enum: values, anyOf }: Shape): unknown[] | undefined {
  if (anyOf) return anyOf.map(valuesOf).find((found) => found !== undefined);
  return values ?? (constant === undefined ? undefined : [constant]);
}
