/**
 * Finds what was renamed: it is missing under its name, and there under another with the same shape. Made anew and dropped, as two
 * differences would say, it would lose its data.
 */
import { type Catalogue, keyOf, type Row } from "./catalogue.ts";
import type { Session } from "./connect.ts";

interface Rename {
  object: string;
  /** Its name by now. */
  is: string;
  /** The statement that gives it its name back. */
  todo: string;
}

/** Schemas of ours that are there under another name alone. Set-up would make an empty one beside the data. */
export async function renamedSchemas(sql: Session): Promise<Rename[]> {
  const rows = await sql`
    with ours (name, oid) as (
      select 'coupon', c.relnamespace
      from pg_class c
      where c.relname in ('schema_migrations', 'coupons', 'user_coupons') and c.relowner = to_regrole('coupon_owner')
      group by c.relnamespace
      having count(*) = 3
      union all
      select 'public', p.pronamespace
      from pg_proc p
      where p.proname in ('issue_coupon', 'issue_coupons') and p.proowner = to_regrole('coupon_owner')
      group by p.pronamespace
      having count(distinct p.proname) = 2
    )
    select o.name, quote_ident(n.nspname) as is, to_regnamespace(o.name) is not null as is_taken
    from ours o
    join pg_namespace n on n.oid = o.oid
    where not exists (select from ours w where w.name = o.name and w.oid = to_regnamespace(o.name))
    order by 1, 2
  `;
  return rows.map(({ name, is, is_taken }) => ({
    object: `schema ${name}`,
    is,
    todo:
      (is_taken ? `alter schema ${name} rename to ${name}_aside; ` : "") +
      `alter schema ${is} rename to ${name}`,
  }));
}

/** Throws one sentence where somebody else's schema has our name. */
export async function requireOurs(sql: Session): Promise<void> {
  const [strange] = await sql`
    select n.nspowner::regrole::text as owner
    from pg_namespace n
    where n.nspname = 'coupon' and n.nspowner is distinct from to_regrole('coupon_owner')
      and not exists (select from pg_class c where c.relnamespace = n.oid and c.relname = 'schema_migrations')`;
  if (strange)
    throw new Error(
      `there is a schema coupon of ${strange["owner"]}'s, and set-up needs that name: give DATABASE_URL of another database`,
    );
}

/** Throws one sentence where a schema was renamed, or is somebody else's: for who would change the database. */
export async function requireSchemas(sql: Session): Promise<void> {
  await requireOurs(sql);
  const [renamed] = await renamedSchemas(sql);
  if (renamed)
    throw new Error(
      `${renamed.object} is called ${renamed.is}, and set-up would make an empty one beside it: run '${renamed.todo}' first`,
    );
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
