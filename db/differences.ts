/** How two states of the catalogue differ. */
import { type Catalogue, keyOf } from "./catalogue.ts";
import { withoutRenames } from "./renames.ts";

export interface Difference {
  what: string;
  todo: string | null;
  object: string;
  property: string;
}

export function differences(there: Catalogue, wanted: Catalogue): Difference[] {
  const { renames, before: is } = withoutRenames(there, wanted);
  /** Whether an object is on one side alone. */
  const isAlone = (object: string | null) =>
    object !== null &&
    is.has(keyOf({ object, property: "" })) !== wanted.has(keyOf({ object, property: "" }));
  const isStrangers = strangersOf(is, wanted);
  const found: Difference[] = renames.map(({ object, is, todo }) => ({
    ...{ what: `${object} is called ${is}`, todo, object, property: "" },
  }));
  for (const key of new Set([...wanted.keys(), ...is.keys()])) {
    const [there, should] = [is.get(key), wanted.get(key)];
    const row = should ?? there;
    if (row === undefined || there?.value === should?.value) continue;
    const { object, relation, property } = row;
    // Of what is missing or too much only that is said, and nothing of its parts.
    if (isAlone(relation) || (property !== "" && isAlone(object)) || isStrangers(object)) continue;
    const values = `is ${there?.value ?? "none"}, should be ${should?.value ?? "none"}`;
    const part =
      values.length > 200 || values.includes("\n") ? `${property} differs` : `${property} ${values}`;
    const alone = should ? " is missing" : " is not of this release";
    const todo = should ? should.make : (there?.unmake ?? null);
    found.push({ what: property === "" ? object + alone : `${object}: ${part}`, todo, object, property });
  }
  return found;
}

/** What others have in schema public is theirs, unless it is called as something of ours. */
function strangersOf(is: Catalogue, wanted: Catalogue): (object: string) => boolean {
  const nameOf = (object: string) => object.split("(")[0];
  const ours = new Set([...wanted.values()].map(({ object }) => nameOf(object)));
  return (object) =>
    / public\./.test(object) &&
    !ours.has(nameOf(object)) &&
    is.get(keyOf({ object, property: "owner" }))?.value !== "coupon_owner";
}
