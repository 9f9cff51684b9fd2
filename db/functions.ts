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
  const files = await manifestOf(directory);
  const texts = await Promise.all(files.map((file) => textOf(directory, file)));
  // All sent at once, and run in this order. After the first failure, whose error this is, the transaction takes no more.
  await Promise.all(files.map((file, i) => runText(sql, file, texts[i] as string)));
}

export async function runFile(sql: Session, directory: string, file: string): Promise<void> {
  await runText(sql, file, await textOf(directory, file));
}

const textOf = (directory: string, file: string) => readFile(join(directory, file), "utf8");

async function runText(sql: Session, file: string, text: string): Promise<void> {
  try {
    await sql.unsafe(text).simple();
  } catch (error) {
    const { message, position } = error as { message: string; position?: string };
    const line = position ? `:${text.slice(0, Number(position)).split("\n").length}` : "";
    throw new Error(`sql/${file}${line}: ${message}`, { cause: error });
  }
}
