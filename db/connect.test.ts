import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { withConnection } from "./connect.ts";

for (const [how, hangUp] of [
  ["closes at once", (client: Socket) => void client.end()],
  ["resets", (client: Socket) => void client.resetAndDestroy()],
  ["closes when it is spoken to", (client: Socket) => void client.once("data", () => client.end())],
] as const)
  test(`a proxy without PostgreSQL, which ${how}: one attempt, and a sentence`, async (t) => {
    let attempts = 0;
    const proxy = createServer((client) => {
      attempts += 1;
      hangUp(client.on("error", () => {}));
    });
    t.after(() => proxy.close());
    await new Promise<void>((resolve) => void proxy.listen(0, "127.0.0.1", resolve));
    const host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    await assert.rejects(
      withConnection(`postgres://shop:p@${host}/shop`, (sql) => sql`select 1`),
      {
        message: `what answers at ${host} hangs up: a proxy without a PostgreSQL behind it, or no PostgreSQL`,
      },
    );
    assert.equal(attempts, 1);
  });
