/** The functions and rights of a release: files of SQL, loaded in the manifest's order. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Session } from "./connect.ts";

/** The files, in the order in which they are loaded; the rights come last. */
export async function manifestOf(directory: string): Promise<string[]> {
  return (await readFile(join(directory, "manifest.txt"), "utf8")).split("\n").filter(Boolean);
}

/** The functions and rights, as coupon_owner and in a transaction of the caller's. */
export async function runManifest(sql: Session, directory: string): Promise<void> {
  // What PL/pgSQL only warns about is an error here.
  await sql.unsafe("select set_config('plpgsql.extra_errors', 'all', true)");
  for (const file of await manifestOf(directory)) await runFile(sql, directory, file);
}

export async function runFile(sql: Session, directory: string, file: string): Promise<void> {
  const text = await readFile(join(directory, file), "utf8");
  try {
    await sql.unsafe(text).simple();
  } catch (error) {
    const { message, position } = error as { message: string; position?: string };
    const line = position ? `:${text.slice(0, Number(position)).split("\n").length}` : "";
    throw new Error(`sql/${file}${line}: ${message}`, { cause: error });
  }
}
