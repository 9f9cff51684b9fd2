/** Small disks (tmpfs) of a run's own, which can be filled to their last byte. */
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./processes.ts";

/** There is one disk for the data and one for the WAL. */
export interface Disks<Of = string> {
  data: Of;
  wal: Of;
}

/** Mounts a disk of so many MB at each of these places. */
export async function mount(places: Disks, sizes: Disks<number>): Promise<void> {
  for (const name of ["data", "wal"] as const) {
    await mkdir(places[name]);
    const options = `mode=0711,size=${sizes[name]}m`;
    await run("mount", ["-t", "tmpfs", "-o", options, "faults", places[name]]);
  }
}

export async function unmount(places: Disks): Promise<void> {
  for (const place of [places.data, places.wal]) await run("umount", ["--lazy", place]).catch(() => {});
}

/** Moves the WAL to a disk of its own. PostgreSQL must not run. */
export async function moveWal(directory: string, disk: string): Promise<void> {
  await run("mv", [join(directory, "pg_wal"), disk]);
  await symlink(join(disk, "pg_wal"), join(directory, "pg_wal"));
}

/** Fills a disk to its last byte; the returned function gives the space back. */
export async function fill(directory: string): Promise<() => Promise<void>> {
  const ballast = join(directory, "ballast");
  const chunk = Buffer.alloc(1 << 20);
  for (let size = chunk.length; size >= 1; size = Math.floor(size / 16))
    for (;;) {
      const error = await writeFile(ballast, chunk.subarray(0, size), { flag: "a" }).catch((e) => e);
      if (error?.code === "ENOSPC") break;
      if (error) throw error;
    }
  return () => rm(ballast);
}
