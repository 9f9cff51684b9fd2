/** What tests of the embedded PostgreSQL share: data directories that are stopped and removed at the end, and starts by others. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Embedded, startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { atEnd } from "./cleanup.ts";
import { temporaryDirectory } from "./temporary.ts";

/** Another user, as root can be. */
export const nobody = { uid: 65534, gid: 65534 };

/** A data directory that is not there yet. */
export async function newDataDir(parent?: string): Promise<string> {
  const dataDir = join(parent ?? (await temporaryDirectory()), "data");
  atEnd(() => stopEmbedded({ dataDir }));
  return dataDir;
}

let made: Promise<{ dataDir: string; first: Embedded; second: Embedded }> | undefined;

/** A new data directory that was started twice and stopped in order. */
export function firstStart(): Promise<{ dataDir: string; first: Embedded; second: Embedded }> {
  made ??= newDataDir().then(async (dataDir) => {
    const first = await startEmbedded({ dataDir });
    const second = await startEmbedded({ dataDir });
    await stopEmbedded({ dataDir });
    return { dataDir, first, second };
  });
  return made;
}

/** A copy of that one: initdb takes two seconds of a quiet machine and much more of a busy one. */
export async function madeDataDir(parent?: string): Promise<string> {
  const { dataDir } = await firstStart();
  const copy = await newDataDir(parent);
  await promisify(execFile)("cp", ["-a", dataDir, copy]);
  return copy;
}

export interface Where {
  /** Another checkout than this one. */
  checkout?: string;
  uid?: number;
  gid?: number;
  home?: string;
}

/** A process that runs startEmbedded() and prints what it returns. */
export function starter(dataDir: string, { checkout, home, ...account }: Where = {}): ChildProcess {
  const path = "db/embedded/embedded.ts";
  const file = checkout ? `file://${checkout}/${path}` : import.meta.resolve(`../../${path}`);
  const code = `
    const { startEmbedded } = await import(${JSON.stringify(file)});
    const lines = [];
    const result = await startEmbedded({ dataDir: process.argv[1], log: (line) => lines.push(line) })
      .catch((error) => ({ error: error.message }));
    console.log(JSON.stringify({ ...result, lines }));
  `;
  const args = [...TYPESCRIPT, "--input-type=module", "-e", code, dataDir];
  const env = { PATH: process.env["PATH"], HOME: home ?? tmpdir(), TMPDIR: home ?? tmpdir() };
  return spawn(process.execPath, args, {
    ...account,
    cwd: home ?? "/",
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** What startEmbedded() returns in a process of its own. */
export async function startInChild(
  dataDir: string,
  where?: Where,
): Promise<Embedded & { error?: string; lines: string[] }> {
  const chunks = (await starter(dataDir, where).stdout?.toArray()) ?? [];
  return JSON.parse(Buffer.concat(chunks).toString());
}
