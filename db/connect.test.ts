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

for (const [what, first, sslmode, sentence] of [
  ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "prefer", "is no PostgreSQL: correct DATABASE_URL"],
  ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "disable", "is no PostgreSQL: correct DATABASE_URL"],
  ["SSH, which begins with an S", "SSH-2.0-x\r\n", "require", "is no PostgreSQL: correct DATABASE_URL"],
  ["no TLS", "N", "require", "offers no TLS: switch it on there, or leave sslmode out of DATABASE_URL"],
  ["no TLS", "N", "verify-full", "offers no TLS: switch it on there, or leave sslmode out of DATABASE_URL"],
] as const)
  test(`a server that speaks ${what}, sslmode=${sslmode}: one attempt, and a sentence`, async (t) => {
    let attempts = 0;
    const server = createServer((client) => {
      attempts += 1;
      client.on("error", () => {}).once("data", () => client.write(first));
    });
    t.after(() => server.close());
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const asked = withConnection(`postgres://shop:p@${host}/shop?sslmode=${sslmode}`, (sql) => sql`select 1`);
    const message = sentence.startsWith("offers")
      ? `${host} ${sentence}`
      : `what answers at ${host} ${sentence}`;
    await assert.rejects(asked, { message });
    assert.equal(attempts, 1);
  });

test("sslmode=allow and prefer: a server without TLS is taken as it is", async () => {
  const url = new URL(process.env["SCRATCH_SERVER_URL"] as string);
  for (const sslmode of ["allow", "prefer"]) {
    url.searchParams.set("sslmode", sslmode);
    const [row] = await withConnection(
      url.href,
      (sql) => sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`,
    );
    assert.deepEqual({ ...row }, { ssl: false });
  }
});
