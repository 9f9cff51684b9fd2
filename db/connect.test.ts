import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { scratchDatabase } from "../bench/harness/scratch.ts";
import { type Sql, withConnection, withSession } from "./connect.ts";
import { openSocket } from "./socket.ts";
import type { Target } from "./target.ts";

/** A server that does this to whoever comes; where it is, and how often somebody came. */
async function serve(t: TestContext, greet: (client: Socket) => void) {
  const came = { attempts: 0 };
  const server = createServer((client) => {
    came.attempts += 1;
    greet(client.on("error", () => {}));
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return { came, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const ask = (host: string, parameters = "") =>
  withConnection(`postgres://shop:p@${host}/shop${parameters}`, (sql) => sql`select 1`);

for (const [how, hangUp] of [
  ["closes at once", (client: Socket) => void client.end()],
  ["resets", (client: Socket) => void client.resetAndDestroy()],
  ["closes when it is spoken to", (client: Socket) => void client.once("data", () => client.end())],
] as const)
  test(`a proxy without PostgreSQL, which ${how}: one attempt, and a sentence`, async (t) => {
    const { came, host } = await serve(t, hangUp);
    await assert.rejects(ask(host), {
      message: `what answers at ${host} hangs up: a proxy without a PostgreSQL behind it, or no PostgreSQL`,
    });
    assert.equal(came.attempts, 1);
  });

const NO_POSTGRESQL = (host: string) => `what answers at ${host} is no PostgreSQL: correct DATABASE_URL`;
const NO_TLS = (host: string) =>
  `${host} offers no TLS: switch it on there, or leave sslmode out of DATABASE_URL`;

for (const [what, first, sslmode, sentence] of [
  ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "prefer", NO_POSTGRESQL],
  ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "disable", NO_POSTGRESQL],
  ["SSH, which begins with an S", "SSH-2.0-x\r\n", "require", NO_POSTGRESQL],
  ["no TLS", "N", "require", NO_TLS],
  ["no TLS", "N", "verify-full", NO_TLS],
] as const)
  test(`a server that speaks ${what}, sslmode=${sslmode}: one attempt, and a sentence`, async (t) => {
    const { came, host } = await serve(t, (client) => void client.once("data", () => client.write(first)));
    await assert.rejects(ask(host, `?sslmode=${sslmode}`), { message: sentence(host) });
    assert.equal(came.attempts, 1);
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

/** Ends the session, and tries twice to use it: what is sent while the end is on its way fails in any case. */
async function loseAndGoOn(sql: Sql): Promise<(string | undefined)[]> {
  const [session] = await sql`select pg_backend_pid() as pid`;
  await withConnection(
    process.env["SCRATCH_SERVER_URL"] as string,
    (other) => other`select pg_terminate_backend(${session?.["pid"]}::integer, 5000)`,
  );
  const codes: (string | undefined)[] = [];
  for (let time = 1; time <= 2; time++)
    codes.push(
      await sql`select 1`.then(
        () => undefined,
        ({ code }) => code,
      ),
    );
  return codes;
}

test("a session that is lost: none takes its place where it may have had a lock or a transaction", async () => {
  const url = process.env["SCRATCH_SERVER_URL"] as string;
  let codes = await withConnection(url, loseAndGoOn);
  assert.equal(codes[1], undefined, "the driver makes another one");
  codes = [];
  await assert.rejects(
    withSession(url, async (sql) => {
      codes = await loseAndGoOn(sql);
      await sql`select 1`;
    }),
    { message: `${new URL(url).host} closed the connection: see its log` },
  );
  assert.deepEqual(
    codes.map((code) => ["57P01", "CONNECTION_CLOSED", "ECONNRESET"].includes(code ?? "")),
    [true, true],
  );
});

test("limits of the database for sessions and transactions: none for who sets up, and its own for our logins", async (t) => {
  const { target, drop } = await scratchDatabase();
  t.after(drop);
  const limits = await withConnection(
    target,
    (sql) =>
      sql`select name from pg_settings where name ~ '^(idle|statement|transaction).*_timeout$' and context = 'user'`,
  );
  const names = limits.map(({ name }) => name as string);
  assert.ok(names.length >= 3, names.join());
  for (const name of names)
    await withConnection(target, (sql) => sql.unsafe(`alter database ${target.database} set ${name} = '1h'`));
  const said = (to: Target) =>
    withConnection(to, async (sql) => {
      const rows = await sql`select name, setting from pg_settings where name = any(${names}) order by name`;
      return rows.map(({ name, setting }) => [name, setting]);
    });
  assert.deepEqual(
    await said(target),
    [...names].sort().map((name) => [name, "0"]),
  );
  const own: Record<string, string> = {
    idle_in_transaction_session_timeout: "5000",
    statement_timeout: "5000",
  };
  assert.deepEqual(
    await said(target.as("coupon_api")),
    [...names].sort().map((name) => [name, own[name] ?? "0"]),
  );
});

test("a name is looked up once at a time, and an answer that comes late is for who waits then", async (t) => {
  const { host } = await serve(t, (client) => void client.end());
  const port = Number(host.split(":")[1]);
  const asked: (() => void)[] = [];
  const { lookup } = dns;
  t.mock.method(dns, "lookup", (name: string, options: object, answer: () => void) => {
    assert.equal(name, "late.example");
    asked.push(() => lookup("127.0.0.1", options, answer));
  });
  const open = () => openSocket({ host: ["late.example"], port: [port], ssl: false });
  for (let given = 0; given < 3; given++)
    open()
      .on("error", () => {})
      .destroy();
  const socket = open();
  socket.on("error", () => {});
  assert.equal(asked.length, 1);
  asked[0]?.();
  await once(socket, "connect");
  socket.destroy();
  open()
    .on("error", () => {})
    .destroy();
  assert.equal(asked.length, 2);
  asked[1]?.();
});
