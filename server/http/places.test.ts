import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import {
  type AppOptions,
  adminToken,
  openApp,
  openWorld,
  serviceToken,
  userToken,
  type World,
} from "../../bench/harness/app.ts";
import { assertDocumented } from "../../bench/harness/documented.ts";
import { createPlaces } from "./places.ts";

test("so many at once, and each is given back", () => {
  const { take } = createPlaces("streams", 2);
  const members = {
    outcome: "overloaded",
    detail: "Too many streams are open already. Ask again.",
    retryAfter: 5,
  };
  const giveBack = take();
  take();
  assert.throws(() => take(), { status: 503, members });
  giveBack();
  take();
  assert.throws(() => take(), { status: 503, members });
});

// ---- Over HTTP ------------------------------------------------------------------------------------------------------

/** A service on the world's database, with what stands in for parts of it, and how to wait for what it has answered. */
async function listen(t: TestContext, { scratch }: World, given: AppOptions = {}) {
  const { server, logged, close } = await openApp(scratch.apiUrl, given);
  t.after(close);
  let connected = 0;
  server.on("connection", (socket) => {
    connected += 1;
    socket.once("close", () => {
      connected -= 1;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;

  return {
    port,
    /** The statuses of so many requests of this path, as the log tells them. */
    async statusesOf(path: string, many: number): Promise<number[]> {
      for (;;) {
        const statuses = logged.filter((line) => line.path === path).map(({ status }) => status);
        if (statuses.length >= many) return statuses;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },

    ask: async (path: string, token: string | undefined, signal?: AbortSignal) => {
      const headers = { ...(token && { authorization: `Bearer ${token}` }), connection: "close" };
      return fetch(`http://127.0.0.1:${port}${path}`, { headers, signal: signal ?? null });
    },

    /** Clients that send these requests in one packet each and leave once they have `begun`, as the server knows when this returns. */
    async leave(
      clients: number,
      requests: readonly string[],
      token: string,
      begun: Promise<unknown>,
    ): Promise<void> {
      const head = `HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 0\r\n\r\n`;
      const packet = requests.map((request) => `${request} ${head}`).join("");
      const sockets = Array.from({ length: clients }, () => connect(port, "127.0.0.1"));
      for (const socket of sockets) socket.write(packet);
      await begun;
      for (const socket of sockets) socket.destroy();
      while (connected > 0) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** Lets nobody go on until it is opened; `reached` once so many wait. */
function gate(many: number) {
  const events = new EventEmitter();
  const [reached, opened] = [once(events, "reached"), once(events, "opened")];
  let waiting = 0;
  return {
    reached,
    open: () => events.emit("opened"),
    async pass(): Promise<void> {
      waiting += 1;
      if (waiting === many) events.emit("reached");
      await opened;
    },
  };
}

async function openWorldOf(t: TestContext): Promise<World> {
  const world = await openWorld();
  t.after(world.close);
  return world;
}

test("so many streams at once, whoever asks, and one that is left can be had again", async (t) => {
  const world = await openWorldOf(t);
  const { ask } = await listen(t, world, { maxStreams: 3 });
  const leaving = new AbortController();
  const path = "/coupons/events";
  const streams = [await ask(path, undefined, leaving.signal)];
  for (const token of [userToken(1), serviceToken]) streams.push(await ask(path, token));
  const refused = await ask(path, undefined);
  const body = JSON.parse(await refused.text());
  assertDocumented("GET", path, { status: refused.status, headers: refused.headers, body });
  assert.deepEqual(
    [refused.status, refused.headers.get("retry-after"), body.outcome, body.detail],
    [503, "5", "overloaded", "Too many streams are open already. Ask again."],
  );
  leaving.abort();
  let again = await ask(path, undefined);
  while (again.status === 503) again = await ask(path, undefined);
  streams.push(again);
  assert.deepEqual(
    streams.map(({ status }) => status),
    [200, 200, 200, 200],
  );
});

test("a stream takes its connection: those that are asked for behind another request take no place", async (t) => {
  const world = await openWorldOf(t);
  const { port, ask, statusesOf } = await listen(t, world, { maxStreams: 3 });
  const path = "/coupons/events";
  const socket = connect(port, "127.0.0.1").resume();
  t.after(() => socket.destroy());
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(5));
  assert.deepEqual(await statusesOf(path, 5), [200, 400, 400, 400, 400]);
  assert.equal((await ask(path, undefined)).status, 200);
});

test("lists of clients that left while the database was asked keep no place", async (t) => {
  const world = await openWorldOf(t);
  const coupon = await world.newCoupon();
  const path = `/coupons/${coupon}/grants`;
  const asked = gate(22);
  // A real call could be refused while 22 wait for two sessions.
  const found = await world.db.findCoupon({ coupon_id: coupon });
  const findCoupon: World["db"]["findCoupon"] = async () => {
    await asked.pass();
    return found;
  };
  const { ask, leave, statusesOf } = await listen(t, world, { db: { ...world.db, findCoupon } });
  // The second of each connection queues behind the first, which Node tells apart.
  const requests = [`GET ${path}`, `GET ${path}`];
  await leave(11, requests, adminToken, asked.reached);
  asked.open();
  assert.deepEqual(await statusesOf(path, 22), Array(22).fill(499));
  const list = await ask(path, adminToken);
  assert.deepEqual([list.status, await list.text()], [200, '{"outcome":"done","lines":0}\n']);
});

test("who leaves while its token is checked is not granted", async (t) => {
  const world = await openWorldOf(t);
  const coupon = await world.newCoupon();
  const user = await world.newUser();
  const path = `/coupons/${coupon}/issue`;
  const { reached, open, pass } = gate(2);
  const { leave, statusesOf } = await listen(t, world, {
    authenticate: async (token) => {
      await pass();
      return world.dependencies.authenticate(token);
    },
  });
  await leave(1, [`POST ${path}`, `POST ${path}`], userToken(user), reached);
  open();
  assert.deepEqual(await statusesOf(path, 2), [499, 499]);
  const [granted] = await world.scratch.owner`select issued from coupon.coupons where id = ${coupon}`;
  assert.equal(granted?.["issued"], 0);
});
