/** What happened: pages, and streams that go on where they were. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { adminToken, openWorld, serviceToken, type World } from "../../bench/harness/app.ts";
import { createClock, settled } from "../../bench/harness/clock.ts";
import type { Output } from "../http/feed.ts";
import { Incoming } from "../http/incoming.ts";
import { addEvents } from "./events.ts";

let opened: World;
const world = () => opened;
let origin: string;
let close: () => Promise<unknown>;
before(async () => {
  opened = await openWorld();
  const server = createServer({ IncomingMessage: Incoming }, opened.listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => {
    opened.app.endStreams();
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  await opened.newCoupon(); // so that there is an event
});
after(async () => {
  await close();
  await opened.close();
});

const page = async (query: string) =>
  (await world().call(`GET /events${query}`, { token: serviceToken })).body;
const latest = async (): Promise<string> => (await page("?after=latest")).next_after;

interface Told {
  id: string;
  type: string;
  data: Record<string, unknown>;
}

/** The events of a stream, as they come, with their lines of the protocol. */
async function* watch(query: string, headers: Record<string, string> = {}): AsyncGenerator<[string, Told]> {
  const controller = new AbortController();
  const response = await fetch(`${origin}/events/stream${query}`, {
    headers: { authorization: `Bearer ${await serviceToken}`, ...headers },
    signal: controller.signal,
  });
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
  // Who packed it would keep an event back until there are more.
  assert.equal(response.headers.get("cache-control"), "no-store, no-transform");
  try {
    let rest = "";
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + piece).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        if (/^(:|retry: \d+)$/.test(block)) continue;
        const [, id, data] = block.match(/^id: (.*)\ndata: (.*)$/) ?? [];
        assert.ok(id !== undefined && data !== undefined, `neither an event nor a comment: ${block}`);
        yield [id, JSON.parse(data)];
      }
    }
  } finally {
    controller.abort();
  }
}

/** So many of them. */
async function take(count: number, events: AsyncGenerator<[string, Told]>): Promise<Told[]> {
  const taken: Told[] = [];
  for await (const [id, event] of events) {
    assert.equal(id, event.id);
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

test("a page: CloudEvents, and where the next one begins", async () => {
  const start = await latest();
  const [coupon_id, user_id] = [await world().newCoupon({ count: 1 }), await world().newUser()];
  await world().issue(coupon_id, user_id);
  await world().call(`POST /coupons/${coupon_id}/use`, {
    token: serviceToken,
    body: { user_id, reference: "order 1" },
  });
  await world().call(`POST /coupons/${coupon_id}/count`, { token: adminToken, body: { count: 2 } });
  const { events, next_after } = await page(`?after=${start}`);
  const nothing = { user_id: null, position: null, use_reference: null, old_values: null, new_values: null };
  assert.deepEqual(
    events.map(({ id: _, time, ...event }: { id: string; time: string }) => {
      assert.match(time, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      return event;
    }),
    [
      ["created", { new_values: events[0].data.new_values }],
      ["issued", { user_id, position: 1 }],
      ["sold_out", { position: 1 }],
      ["used", { user_id, use_reference: "order 1" }],
      ["restocked", { old_values: { count: 1 }, new_values: { count: 2 } }],
    ].map(([type, data]) => ({
      specversion: "1.0",
      source: "/events",
      type: `coupon.${type}`,
      subject: `coupons/${coupon_id}`,
      datacontenttype: "application/json",
      data: { coupon_id, ...nothing, ...(data as object) },
    })),
  );
  assert.equal(events[0].data.new_values.count, 1);
  assert.equal(next_after, events.at(-1).id);
  assert.deepEqual(await page(`?after=${next_after}`), { events: [], next_after });
  const two = await page(`?after=${start}&page_size=2`);
  assert.deepEqual(two, { events: events.slice(0, 2), next_after: events[1].id });
  assert.deepEqual((await page("?after=latest")).events, events.slice(-1));
});

test("an id that is none, or another database's: of a page, of a stream, in the header", async () => {
  const [number, place, tag] = (await latest()).split("-");
  const foreign = `${number}-${place}-${Number(tag) + 1}`;
  for (const [route, headers, detail] of [
    [`GET /events?after=${foreign}`, {}, /must be the event_id of an event of this database/],
    [`GET /events/stream?after=${foreign}`, {}, /must be the event_id of an event of this database/],
    ["GET /events/stream", { "last-event-id": foreign }, /must be the event_id of an event of this database/],
    ["GET /events?after=x", {}, /must be the id of an event, or latest/],
    ["GET /events/stream?after=0-0-0", {}, /must be the id of an event, or latest/],
    ["GET /events/stream", { "last-event-id": "x" }, /must be the id of an event, or latest/],
    ["GET /events?page_size=1001", {}, /page_size: must be at most 1000/],
  ] as const) {
    const answer = await world().call(route, { token: serviceToken, headers });
    assert.deepEqual([answer.status, answer.body.outcome], [400, "invalid_request"], route);
    assert.match(answer.body.detail, detail);
  }
});

test("a stream goes on from an event, tells what comes, and is gone on with by Last-Event-ID", async () => {
  const start = await latest();
  const coupon_id = await world().newCoupon({ count: 3 });
  const types = (events: Told[]) => events.map(({ type, data }) => [type, data["position"]]);
  const stream = watch(`?after=${start}`);
  assert.deepEqual(types(await takeSome(stream, 1)), [["coupon.created", null]]);
  for (let i = 0; i < 2; i++) await world().issue(coupon_id, await world().newUser());
  const [first, second] = await takeSome(stream, 2);
  assert.deepEqual(types([first, second] as Told[]), [
    ["coupon.issued", 1],
    ["coupon.issued", 2],
  ]);
  await stream.return(undefined);
  await world().issue(coupon_id, await world().newUser());
  const header = { "last-event-id": (first as Told).id };
  const again = await take(3, watch(`?after=${start}`, header));
  assert.deepEqual(again[0], second);
  assert.deepEqual(types(again.slice(1)), [
    ["coupon.issued", 3],
    ["coupon.sold_out", 3],
  ]);
});

/** The next events, of a stream that goes on. */
async function takeSome(stream: AsyncGenerator<[string, Told]>, count: number): Promise<Told[]> {
  const taken: Told[] = [];
  while (taken.length < count) {
    const { value } = await stream.next();
    taken.push((value as [string, Told])[1]);
  }
  return taken;
}

test("a stream has all of a long past, in order, the same as pages", async () => {
  const start = await latest();
  const coupon_id = await world().newCoupon({ count: 2_000 });
  const users = await world().newUsers(1_300);
  await world().scratch.admin`select from issue_coupons(${coupon_id}, ${users}::bigint[])`;
  const streamed = await take(1_301, watch(`?after=${start}`));
  assert.deepEqual(
    streamed.slice(1).map(({ data }) => data["position"]),
    users.map((_, i) => i + 1),
  );
  const paged: Told[] = [];
  for (let after = start; paged.length < 1_301; after = paged.at(-1)?.id as string)
    paged.push(...(await page(`?after=${after}&page_size=1000`)).events);
  assert.deepEqual(streamed, paged);
});

/** An answer to a request for a stream that is none: its status and outcome, and when to come again. */
async function refused(query = "") {
  const response = await fetch(`${origin}/events/stream${query}`, {
    headers: { authorization: `Bearer ${await serviceToken}` },
  });
  const { outcome } = (await response.json()) as { outcome: string };
  return [response.status, outcome, response.headers.get("retry-after")];
}

test("streams have their places, and the rest is told to come again before the database is asked for it", async () => {
  const [number, place, tag] = (await latest()).split("-");
  const foreign = `?after=${number}-${place}-${Number(tag) + 1}`;
  // Who is refused keeps no place.
  for (let i = 0; i < 51; i++) assert.deepEqual(await refused(foreign), [400, "invalid_request", null]);
  const streams = Array.from({ length: 50 }, () => watch("?after=latest"));
  for (const stream of streams) await takeSome(stream, 1);
  for (const query of ["", foreign]) assert.deepEqual(await refused(query), [503, "overloaded", "5"]);
  await Promise.all(streams.map((stream) => stream.return(undefined)));
});

test("a stream's head is told without asking the database", async () => {
  const [number, place, tag] = (await latest()).split("-");
  const response = await fetch(`${origin}/events/stream?after=${number}-${place}-${Number(tag) + 1}`, {
    method: "HEAD",
    headers: { authorization: `Bearer ${await serviceToken}` },
  });
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
});

test("a reader that stands still is read nothing for, until it has taken what was written", async () => {
  const pages = ["1-1-1", "2-1-1", "3-1-1"].map((event_id) => [{ event_id, event: "issued", coupon_id: 7 }]);
  const asked: (string | null)[] = [];
  const db = {
    async events(after: string | null, size: number) {
      if (size === 1) return []; // whether it is known
      asked.push(after);
      return pages[asked.length - 1] ?? [];
    },
  };
  let begin: ((asked: unknown) => Promise<(outgoing: Output) => () => void>) | undefined;
  addEvents(
    {
      read() {},
      stream(...[, , , given]: unknown[]) {
        begin = given as typeof begin;
      },
    } as never,
    { clock: createClock(), db: db as never, log: { failure: (error) => assert.fail(error as Error) } },
  );
  const events = new EventEmitter();
  const written: unknown[] = [];
  const outgoing = {
    write: (piece: unknown) => written.push(piece) === 0, // takes no more
    writableLength: 1,
    ...{ writableEnded: false, destroyed: false },
    end() {},
    destroy() {},
    on() {},
    once: (event: string, then: () => void) => events.once(event, then),
  };
  const c = { env: { exchange: { headers: [] } } };
  const show = (await begin?.({ c, query: {} }))?.(outgoing) ?? assert.fail();
  for (const places of [[null], [null, "1-1-1"], [null, "1-1-1", "2-1-1"]]) {
    // Each time that something has happened.
    for (let i = 0; i < 3; i++) {
      show();
      await settled();
    }
    assert.deepEqual([asked, written.length], [places, places.length]);
    events.emit("drain");
    await settled();
  }
  assert.deepEqual([asked.length, written.length], [4, 3]);
  assert.equal(events.listenerCount("close"), 1);
});
