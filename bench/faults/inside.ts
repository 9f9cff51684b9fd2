/** The service within this process, so that what lies between its parts can be made to fail. */
import type { AddressInfo } from "node:net";
import { startCounting } from "../../server/background/counting.ts";
import { startFilling } from "../../server/background/filling.ts";
import { compose, type Overrides } from "../../server/compose.ts";
import type { Db } from "../../server/database/functions.ts";
import { readEnv } from "../../server/env.ts";

export interface Inside {
  url: string;
  close(): Promise<void>;
}

/** A server fills days in its first minute and then every hour: here at once and then every second. */
const HASTE = 3_600;

/** Serves on a free port of the loopback; closing it tells `db` how many asked, and leaves it open. */
export async function serveInside(
  db: Db,
  secret: string,
  overrides: Pick<Overrides, "createIssuing"> = {},
): Promise<Inside> {
  const service = await compose(readEnv({ JWT_SECRET: secret, RATE_LIMIT: "0", LOG_LEVEL: "error" }), {
    ...overrides,
    db,
    writeLog: () => {},
  });
  const { server } = service;
  const counting = startCounting(service);
  let isClosed = false;
  const clock = {
    ...service.clock,
    after: (ms: number, then: () => void) => service.clock.after(ms / HASTE, then),
  };
  startFilling({ ...service, clock, isDraining: () => isClosed });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      isClosed = true;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await counting.end();
    },
  };
}
