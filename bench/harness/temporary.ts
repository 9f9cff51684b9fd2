/** Directories that are gone at the end: see cleanUp(). */
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "./cleanup.ts";

/** A new directory, which other users may read unless `mode` says otherwise. */
export async function temporaryDirectory(mode = 0o755): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "coupon-")));
  atEnd(() => rm(path, { recursive: true, force: true }));
  await chmod(path, mode);
  return path;
}
