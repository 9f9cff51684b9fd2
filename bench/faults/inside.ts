/** The service within this process, so that what lies between its parts can be made to fail: server/serve.ts in small. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createAuthenticate } from "../../server/auth/auth.ts";
import type { Db } from "../../server/database/functions.ts";
import { readEnv } from "../../server/env.ts";
import { createCors } from "../../server/http/cors.ts";
import { createRateLimit } from "../../server/http/rate-limit.ts";
import { createIssuing } from "../../server/issuing/issuing.ts";
import { createLog } from "../../server/observability/log.ts";
import { createMetrics } from "../../server/observability/metrics.ts";
import { createApp, type Dependencies } from "../../server/routes/app.ts";
import { issueBefore } from "../../server/routes/fast.ts";

export interface Inside {
  url: string;
  close(): Promise<void>;
}

/** Serves on a free port of the loopback; closing it leaves `db` open. */
export async function serveInside(
  db: Db,
  secret: string,
  given: { createIssuing?: typeof createIssuing } = {},
): Promise<Inside> {
  const issuing = (given.createIssuing ?? createIssuing)(db);
  const dependencies: Dependencies = {
    db,
    issuing,
    authenticate: await createAuthenticate(readEnv({ JWT_SECRET: secret })),
    cors: createCors([]),
    demoToken: () => undefined,
    log: createLog("error", () => {}),
    metrics: createMetrics(),
    rateLimit: createRateLimit(0),
    isDraining: () => false,
    readiness: async () => {},
  };
  const server = createServer(issueBefore(getRequestListener(createApp(dependencies).fetch), dependencies));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
