import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { withConnection } from "./connect.ts";
import { createHosts, describeHosts, mostQuestions } from "./hosts.ts";
import { targetOf } from "./target.ts";

const real = process.env["SCRATCH_SERVER_URL"] as string;
const places = (...hosts: string[]) => targetOf(real.replace(/@[^/]*/, `@${hosts.join(",")}`));
const here = new URL(real).host;
const PATIENT = { askMs: 60_000, searchMs: 60_000 };

/** A host that does this to whoever comes; how many came, and how many were there at once. */
async function serve(t: TestContext, greet: (client: Socket) => void) {
  const came = { count: 0, now: 0, most: 0 };
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    came.count += 1;
    came.now += 1;
    came.most = Math.max(came.most, came.now);
    client
      .on("error", () => {})
      .on("close", () => {
        came.now -= 1;
      });
    greet(client);
  });
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return { came, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** To the real server, under another address. */
function relay(client: Socket): void {
  const { hostname, port } = new URL(real);
  const upstream = connect(Number(port), hostname);
  for (const [from, into] of [[client, upstream] as const, [upstream, client] as const])
    from
      .on("error", () => {})
      .on("close", () => into.destroy())
      .pipe(into);
}

test("an outage: many ask at once and without a pause, and each host is asked by one connection, ever less often", async (t) => {
  const dead = await Promise.all(
    [1, 2].map(() => serve(t, (client) => void client.once("data", () => client.end()))),
  );
  const hosts = createHosts(places(...dead.map(({ host }) => host)));
  const began = performance.now();
  while (dead.some(({ came }) => came.count < 7)) {
    const told = await Promise.allSettled(Array.from({ length: 50 }, () => hosts.find()));
    for (const each of told)
      assert.match(String((each as PromiseRejectedResult).reason), /no host of the URL is the primary/);
    await turn();
  }
  const lasted = performance.now() - began;
  for (const { came } of dead) {
    assert.ok(came.count <= mostQuestions(lasted), `${came.count} in ${lasted} ms`);
    assert.equal(came.most, 1);
  }
});

test("mostQuestions(): after 25, 50, 100, 200, 400, 500, 500 … ms at the earliest", () => {
  assert.deepEqual(
    [0, 24, 25, 74, 75, 774, 775, 1_274, 1_275, 1_775].map(mostQuestions),
    [1, 1, 2, 2, 3, 5, 6, 6, 7, 8],
  );
});

test("a host that never answers delays the primary by no more than a moment, wherever it stands", async (t) => {
  const silent = await serve(t, () => {});
  for (const list of [
    [silent.host, here],
    [here, silent.host],
  ]) {
    const hosts = createHosts(places(...list), PATIENT);
    assert.equal((await hosts.find()).target.host, here);
    assert.deepEqual(
      [...(await withConnection(places(...list), (sql) => sql`select 1 as one`))],
      [{ one: 1 }],
    );
  }
});

test("an answer that comes when the search is over is the next one's", async (t) => {
  let pass = () => {};
  const passing = new Promise<void>((resolve) => {
    pass = resolve;
  });
  const slow = await serve(t, (client) => void passing.then(() => relay(client)));
  const hosts = createHosts(places(slow.host, "127.0.0.1:1"), { askMs: 60_000, searchMs: 50 });
  await assert.rejects(hosts.find(), new RegExp(`${slow.host} has not answered yet`));
  pass();
  while (slow.came.count === 0 || slow.came.now > 0) await turn();
  let found: Awaited<ReturnType<typeof hosts.find>> | undefined;
  while (found === undefined) found = await hosts.find().catch(() => turn(undefined));
  assert.deepEqual([found.target.host, slow.came.count], [slow.host, 1]);
});

test("what was found is kept until it is lost; what was lost before stays as it is", async (t) => {
  const closing = await serve(t, (client) => void client.once("data", () => client.end()));
  const hosts = createHosts(places(closing.host, here), PATIENT);
  const first = await hosts.find();
  assert.equal(await hosts.find(), first);
  hosts.lost(first);
  let second: typeof first | undefined;
  while (second === undefined) second = await hosts.find().catch(() => turn(undefined));
  assert.notEqual(second, first);
  hosts.lost(first);
  assert.equal(await hosts.find(), second);
});

test("load_balance_hosts=random: of those that are wanted the first in another order than the list's", async (t) => {
  const relays = await Promise.all([1, 2].map(() => serve(t, relay)));
  const three = [here, ...relays.map(({ host }) => host)];
  const foundWith = async (drawn: readonly number[], parameters: string) => {
    const numbers = [...drawn];
    const random = t.mock.method(Math, "random", () => numbers.shift() ?? 0);
    const url = `${places(...three).url}${real.includes("?") ? "&" : "?"}${parameters}`;
    const { target } = await createHosts(targetOf(url), { ...PATIENT, graceMs: 60_000 }).find();
    random.mock.restore();
    return three.indexOf(target.host);
  };
  const random = "load_balance_hosts=random";
  const orders = [
    [0.3, 0.2, 0.1],
    [0.2, 0.1, 0.3],
    [0.1, 0.2, 0.3],
  ];
  const found: number[] = [];
  for (const drawn of orders) found.push(await foundWith(drawn, random));
  assert.deepEqual(found, [2, 1, 0]);
  assert.equal(await foundWith([0.3, 0.2, 0.1], "load_balance_hosts=disable"), 0);
});

test("a host that was avoided is taken after the others, wherever it stands", async (t) => {
  const clock = performance.now.bind(performance);
  let ahead = 0;
  t.mock.method(performance, "now", () => clock() + ahead);
  const relays = await Promise.all([1, 2].map(() => serve(t, relay)));
  const three = [here, ...relays.map(({ host }) => host)];
  const hosts = createHosts(places(...three), { ...PATIENT, graceMs: 60_000 });
  const found: string[] = [];
  for (let i = 0; i < 7; i++) {
    found.push((await hosts.find()).target.host);
    hosts.avoid(1_000);
    // Each of them may be asked again.
    ahead += 1_000;
  }
  assert.deepEqual(found, [...three, ...three, here]);
});

test("none is the primary: a sentence that says what each is, and no password", async (t) => {
  const closing = await serve(t, (client) => void client.end());
  await assert.rejects(
    withConnection(places(closing.host, "127.0.0.1:1"), (sql) => sql`select 1`),
    {
      code: "NO_HOST",
      message: `no host of the URL is the primary: ${closing.host} does not let us in (HUNG_UP), 127.0.0.1:1 cannot be reached (ECONNREFUSED)`,
    },
  );
  assert.deepEqual(await describeHosts(places(here, "127.0.0.1:1")), [
    `${here} is the primary`,
    "127.0.0.1:1 cannot be reached (ECONNREFUSED)",
  ]);
});

test("read-write: a database that takes no writes is not it, and primary takes it", async () => {
  const list = `${here},127.0.0.1:1`;
  const readOnly = (attributes: string) =>
    targetOf(
      `${real.replace(/@[^/]*/, `@${list}`)}${real.includes("?") ? "&" : "?"}target_session_attrs=${attributes}&options=-c%20default_transaction_read_only%3Don`,
    );
  assert.equal((await createHosts(readOnly("primary"), PATIENT).find()).target.host, here);
  await assert.rejects(
    createHosts(readOnly("read-write"), PATIENT).find(),
    new RegExp(`${here} takes no writes`),
  );
});
