/** The machine of a run: what its figures depend on. */
import os from "node:os";
import { connect } from "../../db/connect.ts";

export interface Machine {
  cpu: string;
  cores: number;
  /** GiB */
  memory: number;
  /** Name and first two numbers of the release. */
  kernel: string;
  node: string;
  postgresql: string;
}

export async function machine(databaseUrl: string): Promise<Machine> {
  const sql = connect(databaseUrl);
  try {
    const [server] = await sql`select current_setting('server_version') as version`;
    const cpus = os.cpus();
    return {
      cpu: cpus[0]?.model.replace(/\s+/g, " ").trim() || os.arch(),
      cores: cpus.length,
      memory: Math.round(os.totalmem() / 2 ** 30),
      kernel: `${os.type()} ${os.release().match(/^\d+\.\d+/)?.[0] ?? ""}`.trim(),
      node: process.versions.node,
      postgresql: server?.["version"],
    };
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** In one line. */
export function nameOf({ cpu, cores, memory, kernel, node, postgresql }: Machine): string {
  return `${cores} cores (${cpu}), ${memory} GiB, ${kernel}, Node.js ${node}, PostgreSQL ${postgresql}`;
}
