/** The secret that bearer tokens are signed with, where no other key is given. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Env } from "./env.ts";

/** JWT_SECRET, or else 256 random bits, made once in DATA_DIR and readable by this user only. */
export async function tokenSecret(env: Env): Promise<string> {
  if (env.JWT_SECRET) return env.JWT_SECRET;
  await mkdir(env.DATA_DIR, { recursive: true });
  const path = join(env.DATA_DIR, "token.secret");
  try {
    await writeFile(path, randomBytes(32).toString("hex"), { flag: "wx", mode: 0o600, flush: true });
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
  }
  return (await readFile(path, "utf8")).trim();
}
