/**
 * Finds what was renamed: it is missing under its name, and there under another with the same shape. Made anew and dropped, as two
 * differences would say, it would lose its data.
 */
import { type Catalogue, keyOf, type Row } from "./catalogue.ts";

export interface Rename {
  object: string;
  /** Its name by now. */
  is: string;
  /** The statement that gives it its name back. */
  todo: string;
}

/** What holds data, or is what they are made of. */
const KEPT = /^(table|column|sequence|type) /;

/** All renames, the outermost first, and the catalogue as it was before them. */
export function withoutRenames(is: Catalogue, wanted: Catalogue): { renames: Rename[]; before: Catalogue } {
  const renames: Rename[] = [];
  let before = is;
  // A column of a renamed table is seen once the table has its name again.
  for (let more = renamesIn(before, wanted); more.length > 0; more = renamesIn(before, wanted)) {
    renames.push(...more.map(({ rename }) => rename));
    before = more.reduce((catalogue, { undo }) => undoneIn(catalogue, wanted, undo), before);
  }
  return { renames, before };
}

interface Found {
  rename: Rename;
  /** What a text of this row says under the names of before. */
  undo(row: Row): (text: string) => string;
}

function renamesIn(is: Catalogue, wanted: Catalogue): Found[] {
  const [extra, missing] = [alone(is, wanted), alone(wanted, is)];
  const alike = (there: Row, should: Row) =>
    wordOf(there) === wordOf(should) &&
    there.relation === should.relation &&
    shapeOf(is, there) === shapeOf(wanted, should);
  return missing.flatMap((should) => {
    const [there, ...others] = extra.filter((row) => alike(row, should));
    const isOnly = there && others.length === 0 && missing.filter((row) => alike(there, row)).length === 1;
    return isOnly ? [found(is, there, should)] : [];
  });
}

const alone = (these: Catalogue, those: Catalogue) =>
  [...these.values()].filter((row) => row.property === "" && KEPT.test(row.object) && !those.has(keyOf(row)));

const wordOf = ({ object }: Row) => object.split(" ")[0];
const nameOf = ({ object }: Row) => object.slice(object.indexOf(" ") + 1);

/** Its properties, and of a table those of its columns, whatever these are called. */
function shapeOf(catalogue: Catalogue, { object }: Row): string {
  const isPart = (row: Row) => row.relation === object && row.object.startsWith("column ");
  return [...catalogue.values()]
    .filter((row) => row.object === object || isPart(row))
    .map((row) => `${isPart(row)} ${row.property} ${row.value}`)
    .sort()
    .join("\n");
}

function found(is: Catalogue, there: Row, should: Row): Found {
  if (should.relation !== null) return foundColumn(there, should, should.relation);
  const name = nameOf(there);
  const [[schemaIs, bareIs], [schema, bare]] = [parted(name), parted(nameOf(should))];
  const alter = `alter ${wordOf(should)}`;
  const todo = [
    ...(schemaIs === schema ? [] : [`${alter} ${name} set schema ${schema}`]),
    ...(bareIs === bare ? [] : [`${alter} ${schema}.${bareIs} rename to ${bare}`]),
  ].join("; ");
  const along = movedAlong(is, there).map((each) => replacing(each, `${schema}.${parted(each)[1]}`));
  const undo = [replacing(name, nameOf(should)), ...along];
  return {
    rename: { object: should.object, is: name, todo },
    undo: () => (text) => undo.reduce((said, each) => each(said), text),
  };
}

/** Indexes and sequences of a table, which go with it to another schema. */
function movedAlong(is: Catalogue, table: Row): string[] {
  return [...is.values()].flatMap((row) => {
    const isIndex = row.property === "" && row.relation === table.object && wordOf(row) === "index";
    const isSequence = row.property === "column" && row.value.startsWith(`${nameOf(table)}.`);
    return isIndex || isSequence ? (nameOf(row).split(" on ")[0] ?? []) : [];
  });
}

function foundColumn(there: Row, should: Row, relation: string): Found {
  const table = relation.slice(relation.indexOf(" ") + 1);
  const [is, name] = [there, should].map((row) => nameOf(row).slice(table.length + 1)) as [string, string];
  const rewrite = replacing(is, name);
  const isAbout = (row: Row) => [row.object, row.value].some((text) => text.includes(table));
  return {
    rename: { object: should.object, is, todo: `alter ${relation} rename column ${is} to ${name}` },
    undo: (row) => (isAbout(row) ? rewrite : (text) => text),
  };
}

const parted = (name: string) => name.split(/\.(.*)/, 2) as [schema: string, bare: string];

function replacing(from: string, to: string): (text: string) => string {
  const name = new RegExp(`(?<![\\w"])${from.replaceAll(/\W/g, "\\$&")}(?![\\w"])`, "g");
  return (text) => text.replaceAll(name, () => to);
}

/** What is as wanted stays: a text that no rename reaches may have the new name for another reason. */
function undoneIn(is: Catalogue, wanted: Catalogue, undo: Found["undo"]): Catalogue {
  const rows = [...is.values()].map((row) => {
    const before = undo(row);
    const { object, relation, property } = wanted.has(keyOf(row))
      ? row
      : {
          object: before(row.object),
          relation: row.relation && before(row.relation),
          property: before(row.property),
        };
    const isSame = property === "comment" || wanted.get(keyOf({ object, property }))?.value === row.value;
    return { ...row, object, relation, property, value: isSame ? row.value : before(row.value) };
  });
  return new Map(rows.map((row) => [keyOf(row), row]));
}
