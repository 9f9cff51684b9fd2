/** How a bug is planted: in a text of the service, of which every part that is to be replaced must be found. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Scratch } from "../harness/scratch.ts";
import type { Bounds } from "./checker/bounds.ts";
import type { Invariant } from "./checker/check.ts";
import type { Chances } from "./flaky.ts";
import type { Plant } from "./trial.ts";

export interface Bug {
  name: string;
  about: string;
  /** What the checker must find, all of it. */
  breaks: Invariant[];
  plant(database: Scratch): Promise<Plant>;
  /** For a bug that only shows then. */
  chances?: Chances;
  bounds?: Bounds;
  restocks?: boolean;
  lives?: number;
  /** For one that the load doesn't show. */
  requests?: number;
}

const ROOT = new URL("../../", import.meta.url);
const ISSUING = new URL("server/issuing/", ROOT);

/** The text of a file of ours with parts of it replaced; each must be there, once. */
export async function changed(file: string, ...changes: [from: string, to: string][]): Promise<string> {
  let text = await readFile(new URL(file, ROOT), "utf8");
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2) throw new Error(`${file} must contain this exactly once: ${from}`);
    text = text.replace(from, () => to);
  }
  return text;
}

/** The constraints that would keep a rule without its function. */
export const KEEPERS = {
  count: `
    alter table coupon.coupons drop constraint coupons_issued_within_count;
    drop trigger coupons_issued_equals_grants on coupon.coupons;
    drop trigger user_coupons_check_new_grants on coupon.user_coupons;
    drop index coupon.user_coupons_one_per_position;`,
  day: "alter table coupon.user_coupons drop constraint user_coupons_one_per_user_and_day;",
  holder: "alter table coupon.user_coupons drop constraint user_coupons_pkey;",
};

export const LOCK = "  lock table coupon.issuing in exclusive mode;\n";
export const ROW_LOCK = " for no key update;\n";
export const SPENT: [from: string, to: string][] = [
  [
    `        and (select g.user_id from coupon.user_coupons g
          where g.issued_on = v_today and g.user_id = r.user_id) is null
`,
    "",
  ],
  [
    `      and (select g.user_id from coupon.user_coupons g
        where g.issued_on = v_today and g.user_id = r.user_id) is null
`,
    "",
  ],
];

/** `changed` for inSql: the text is read when the bug is planted. */
export function replaced(...given: Parameters<typeof changed>): () => Promise<string> {
  return () => changed(...given);
}

/** Runs these in the database, one after the other. */
export function inSql(...texts: (string | (() => Promise<string>))[]): Bug["plant"] {
  return async ({ owner }) => {
    for (const text of texts) await owner.unsafe(typeof text === "string" ? text : await text()).simple();
    return {};
  };
}

/** Modules of server/issuing with parts replaced, loaded from a directory of their own; what they import is the real thing. */
export async function inServer<Module>(
  file: string,
  texts: Record<string, Promise<string>>,
): Promise<{ module: Module; end(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "planted-"));
  await writeFile(join(directory, "package.json"), '{"type": "module"}');
  for (const [name, text] of Object.entries(texts)) {
    const linked = (await text).replace(/ from "(\.\.?\/[\w/-]+\.ts)"/g, (_, other: string) =>
      other.slice(2) in texts ? ` from "${other}"` : ` from "${new URL(other, ISSUING)}"`,
    );
    await writeFile(join(directory, name), linked);
  }
  return {
    module: (await import(pathToFileURL(join(directory, file)).href)) as Module,
    end: () => rm(directory, { recursive: true }),
  };
}
