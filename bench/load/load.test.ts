/** The parts of the bench that need no database: figures, bars, schedules, options. Exact numbers. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { readEnv } from "../../server/env.ts";
import { WINDOW_S } from "../../server/http/rate-limit.ts";
import { median, percentile, sample, shuffled, spread } from "../harness/stats.ts";
import { issueShot } from "../harness/tokens.ts";
import { shownFigure, shownSpread } from "../report/show.ts";
import { createAttacks, ENDED } from "./attacks.ts";
import { judge } from "./bars.ts";
import { faultsOf, fire, steadyRate } from "./closed-loop.ts";
import { throughputOf } from "./measures.ts";
import { evenly, fly, openPool, type Pool, readReply, recoveredAt } from "./open-loop.ts";
import { optionsOf, readCommand, usageOf } from "./options.ts";
import { createPace, inTurn } from "./rounds.ts";
import { scenarios } from "./scenarios.ts";
import { type Contender, figuresOf, type Seen, type ServersOptions, wrongLeases } from "./servers-figures.ts";

async function withServer(listener: RequestListener, work: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function withPool(
  connections: number,
  listener: RequestListener,
  work: (pool: Pool) => Promise<void>,
): Promise<void> {
  return withServer(listener, async (url) => {
    const pool = await openPool(url, connections);
    try {
      await work(pool);
    } finally {
      pool.close(); // or it would open its connections again for ever
    }
  });
}

test("median: the middle one, of an even number the mean of the two", () => {
  assert.equal(median([5, 1, 9]), 5);
  assert.equal(median([4, 1, 9, 2]), 3);
  assert.equal(median([7]), 7);
  assert.throws(() => median([]), /no value/);
});

test("spread: median, least and most, six digits", () => {
  assert.deepEqual(spread([3, 1, 2.0000004]), [2, 1, 3]);
});

test("percentile: the smallest value that so many don't exceed", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.deepEqual(
    [0, 0.5, 0.99, 0.999, 1].map((share) => percentile(hundred, share)),
    [1, 50, 99, 100, 100],
  );
  assert.equal(percentile([], 0.5), 0);
});

test("shuffled: the same seed gives the same order, and nothing is lost", () => {
  const list = () => Array.from({ length: 8 }, (_, i) => i);
  assert.deepEqual(shuffled(list(), 1), shuffled(list(), 1));
  assert.notDeepEqual(shuffled(list(), 1), shuffled(list(), 2));
  assert.deepEqual(
    shuffled(list(), 1).toSorted((a, b) => a - b),
    list(),
  );
});

test("sample: different numbers from 1 to the last, all of them if asked", () => {
  assert.deepEqual(
    sample(10, 10, 7).toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  assert.equal(new Set(sample(1_000, 1_000_000, 7)).size, 1_000);
});

test("figures are shown with the digits that mean something", () => {
  assert.deepEqual([5123.4, 312.4, 31.24, 3.124, 0.8512, 0].map(shownFigure), [
    "5,123",
    "312",
    "31.2",
    "3.12",
    "0.85",
    "0",
  ]);
  assert.equal(shownSpread(spread([1, 2, 3])), "2.00 (1.00–3.00)");
  assert.equal(shownSpread(spread([2])), "2.00");
});

test("a bar is cleared from its number on; a size is cleared up to it", () => {
  const verdict = (scenario: string, name: string, value: number) =>
    judge(scenario, { name, value })?.verdict;
  const refuse = "refuse / hello, 256 connections";
  assert.deepEqual(
    [1.2, 1.1999, 0.95, 0.9499].map((value) => verdict("refuse", refuse, value)),
    ["PASS, stretch", "PASS", "PASS", "MISS"],
  );
  const memory = "memory of the server, 10,000 connections open and waiting";
  assert.deepEqual(
    [150, 151, 300, 301].map((value) => verdict("open", memory, value)),
    ["PASS, stretch", "PASS", "PASS", "MISS"],
  );
  assert.deepEqual(
    ["10", "100", "1,000"].map((n) => verdict("sql", `issue_coupons / bare insert, batches of ${n}`, 0.96)),
    ["PASS, stretch", "PASS", "MISS"],
  );
  assert.equal(verdict("grant", refuse, 1), undefined);
  assert.equal(verdict("grant", "grant / hello, 256 connections", Number.NaN), "MISS");
});

test("inTurn: each contender once a round, the first round not kept, the order another each time", async () => {
  const seen: string[] = [];
  const measured = await inTurn(
    ["a", "b", "c"],
    2,
    async (name, round) => {
      seen.push(name);
      return `${name}${round}`;
    },
    () => {},
  );
  assert.deepEqual(Object.fromEntries(measured), { a: ["a1", "a2"], b: ["b1", "b2"], c: ["c1", "c2"] });
  for (const round of [0, 1, 2])
    assert.deepEqual(seen.slice(round * 3, round * 3 + 3).toSorted(), ["a", "b", "c"]);
  assert.notDeepEqual(seen.slice(0, 3), seen.slice(3, 6));
});

test("inTurn without a round to warm up: each contender once for each round that is kept; a single round has none", async () => {
  for (const [rounds, first] of [[2, 1], [1]] as const) {
    const made: number[] = [];
    const measured = await inTurn(
      ["a", "b"],
      rounds,
      async (name, round) => {
        made.push(round);
        return `${name}${round}`;
      },
      () => {},
      first,
    );
    const kept = (name: string) => [`${name}1`, `${name}2`].slice(0, rounds);
    assert.deepEqual(Object.fromEntries(measured), { a: kept("a"), b: kept("b") });
    assert.deepEqual(made, [1, 1, 2, 2].slice(0, 2 * rounds));
  }
});

test("a pace goes by the last rate, with at least four requests a connection and at most all", async () => {
  const pace = createPace(500, 2_000, 10_000);
  const requests = async (contender: string, connections: number, perSecond: number) => {
    const seen = await pace.volley(contender, connections, async (sent) => ({ sent, perSecond }));
    return seen.sent;
  };
  assert.equal(await requests("a", 64, 6_000), 2_000);
  assert.equal(await requests("a", 64, 6_000), 3_000);
  assert.equal(await requests("a", 1_000, 60_000), 4_000);
  assert.equal(await requests("a", 64, 6_000), 10_000);
  assert.equal(await requests("b", 64, 6_000), 2_000);
});

test("steady rate: neither the first nor the last tenth counts", () => {
  const instants = Float64Array.from({ length: 100 }, (_, i) => i);
  instants[0] = -5_000;
  instants[99] = 5_000;
  assert.equal(steadyRate(instants), 1_000);
  assert.equal(steadyRate(new Float64Array(1)), 0);
});

test("ratios are of medians, ours to each peer's, in each group: of connections, and of a generator", () => {
  const round = (perSecond: number) => ({
    answers: 1,
    refused: 0,
    failed: 0,
    perSecond,
    p50: 1,
    p99: 1,
    ranOut: false,
    cpu: { process: 2, database: Number.NaN, generator: 3 },
  });
  const [wrk, autocannon] = [{ name: "wrk 4.1.0" }, { name: "autocannon" }];
  const { headlines, measures } = throughputOf(
    new Map([
      [{ name: "this service", connections: 64, generator: wrk }, [round(10), round(30), round(20)]],
      [{ name: "hello", connections: 64, generator: wrk }, [round(40), round(40), round(80)]],
      [{ name: "this service", connections: 64, generator: autocannon }, [round(9)]],
      [{ name: "node:http constant", connections: 64, generator: autocannon }, [round(90)]],
    ]),
    "grant",
  );
  assert.deepEqual(headlines, [
    { name: "grant / hello, 64 connections", value: 0.5 },
    { name: "grant / node:http constant, 64 connections, autocannon", value: 0.1 },
  ]);
  assert.deepEqual(
    measures.map(({ group }) => group),
    ["64 connections", "64 connections", "64 connections, autocannon", "64 connections, autocannon"],
  );
  assert.deepEqual(Object.keys(measures[0]?.figures ?? {}), [
    "answers a second",
    "CPU of its process, µs each",
    "CPU of the generator, µs each",
    "p50 ms",
    "p99 ms",
  ]);
});

test("evenly: the first at once, then at the same distance", () => {
  assert.deepEqual([...evenly(4, 1)], [0, 250, 500, 750]);
  assert.deepEqual([...evenly(1_000, 0.003)], [0, 1, 2]);
});

test("recovered: from the first of so many in a row that were quick, in the order in which they were due", () => {
  const due = [100, 120, 140, 160, 180, 200];
  assert.equal(recoveredAt(due, [9, 1, 9, 1, 1, 1], 5, 3), 60);
  assert.equal(recoveredAt(due, [1, 1, 1, 1, 1, 9], 5, 3), 0);
  assert.equal(recoveredAt(due, [1, 1, 9, 1, 1, 9], 5, 3), undefined);
  assert.equal(recoveredAt(due.toReversed(), [1, 1, 1, 9, 9, 9], 5, 3), 60);
});

test("a reply is complete with its length, or with the last chunk", () => {
  const head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\n";
  assert.equal(readReply(`${head}content-length: 4\r\n\r\nfou`), undefined);
  assert.deepEqual(readReply(`${head}Content-Length: 4\r\n\r\nfour`), {
    status: 503,
    head: `${head}Content-Length: 4`,
    body: "four",
  });
  assert.equal(readReply(`${head}transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n`), undefined);
  assert.equal(
    readReply(`${head}transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n`)?.body,
    "4\r\nfour\r\n0\r\n\r\n",
  );
});

test("open loop: every request that is due is sent once and answered", async () => {
  let seen = 0;
  await withPool(
    3,
    (_, response) => {
      seen += 1;
      response.end(`${seen}`);
    },
    async (pool) => {
      const flight = await fly(pool, {
        due: evenly(1_000, 0.05),
        request: (sent) => `GET /${sent} HTTP/1.1\r\nhost: x\r\n\r\n`,
        patience: 60_000,
      });
      assert.deepEqual([flight.sent, flight.lost, seen, pool.lost()], [50, 0, 50, 0]);
      assert.equal(flight.answers[200]?.took.length, 50);
    },
  );
});

test("open loop: latency counts from when a request was due, and who finds no connection gives up", async () => {
  let now = 0;
  await withPool(
    1,
    (_, response) => {
      now += 100; // so long each answer takes
      response.end("late");
    },
    async (pool) => {
      const request = () => "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
      const ask = (due: number[], limits: { patience: number; until?: number }) =>
        fly(pool, { due: Float64Array.from(due), request, clock: () => now, ...limits });
      // The second one waits for the first one's connection: 200 ms in all, less the 10 that it came later.
      const waiting = await ask([0, 10], { patience: 60_000 });
      assert.deepEqual(waiting.answers[200], { due: [0, 10], took: [100, 190] });
      const impatient = await ask([0, 1], { patience: 20 });
      assert.deepEqual([impatient.sent, impatient.answers[200]?.took], [1, [100]]);
      const ended = await ask([0, 1], { patience: 60_000, until: 50 });
      assert.equal(ended.sent, 1);
    },
  );
});

test("open loop: once the signal is given nothing more is sent, and what is under way is answered", async () => {
  const end = new AbortController();
  await withPool(
    1,
    (_, response) => {
      end.abort();
      response.end("late");
    },
    async (pool) => {
      const request = () => "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
      const due = evenly(1_000, 60);
      const flight = await fly(pool, { due, request, patience: 60_000, signal: end.signal });
      assert.deepEqual([flight.sent, flight.lost, flight.answers[200]?.took.length], [1, 0, 1]);
    },
  );
});

test("attacks: no user sends more than the rate limit allows for ever", () => {
  const limit = readEnv({}).RATE_LIMIT / WINDOW_S;
  const ended = Array.from({ length: ENDED }, (_, i) => i + 10);
  const rates = createAttacks({ secret: "s".repeat(64), ended, big: 1, other: 2, soldOut: 3 }).map(
    ({ name, due, shot }) => {
      const seconds = (due.at(-1) ?? 0) / 1_000;
      if (seconds === 0) return [name];
      const asked = new Map<unknown, number>();
      for (const sent of due.keys()) {
        const { authorization } = shot(sent).headers;
        asked.set(authorization, (asked.get(authorization) ?? 0) + 1);
      }
      const most = Math.max(...asked.values()) / seconds;
      assert.ok(most <= limit || name === "statistics", `${name}: ${most} a second`);
      return [name, asked.size, Math.round(due.length / seconds)];
    },
  );
  assert.deepEqual(rates, [
    ["undisturbed"],
    ["16 ended coupons", 4, 38],
    ["284 ended coupons", 53, 500],
    ["500 refusals", 53, 500],
    ["a claim held in psql", 10, 95],
    ["wallets", 13, 120],
    ["statistics", 1, 32], // an administrator's, who has no limit
  ]);
});

test("fire: each shot once, in order on each connection, and its answer to its index", async () => {
  await withServer(
    (request, response) => {
      request.resume();
      response.writeHead(409).end(request.headers.authorization);
    },
    async (url) => {
      const answered: string[] = [];
      const volley = await fire(url, 50, 7, (index) => issueShot(`token-${index}`, 1), {
        onAnswer: (index, { body }) => {
          answered[index] = body.toString();
        },
      });
      assert.deepEqual(
        answered,
        Array.from({ length: 50 }, (_, i) => `Bearer token-${i}`),
      );
      assert.deepEqual([volley.requests, volley.errors, volley.statuses], [50, 0, { 409: 50 }]);
      assert.deepEqual(faultsOf("it", 50, 409, volley), []);
      assert.deepEqual(faultsOf("it", 50, 201, { ...volley, errors: 3, timeouts: 2 }), [
        'it: of 50 requests {"409":50}, 1 connections failed, 2 had no answer in 30 s',
      ]);
    },
  );
});

test("options: one sentence on what is wrong", () => {
  const read = (...args: string[]) => {
    const { name, quick, given } = readCommand(args, scenarios);
    const scenario = scenarios.find((candidate) => candidate.name === name);
    assert.ok(scenario);
    return optionsOf(scenario, quick, given);
  };
  assert.deepEqual(read("burst", "--requests", "1000", "--users", "500"), {
    requests: 1_000,
    users: 500,
    connections: 250,
    count: 25,
    seed: 1,
  });
  assert.deepEqual(read("grant", "--quick", "--connections", "8,16")["connections"], [8, 16]);
  for (const [args, sentence] of [
    [["brust"], /no such scenario: brust; there are burst, refuse/],
    [["burst", "grant"], /one name at a time/],
    [["burst", "--rounds", "3"], /burst takes no --rounds/],
    [["all", "--requests", "3"], /all takes no --requests/],
    [["all", "--json", "x"], /--json needs the name of one scenario/],
    [
      ["burst", "--json", "none/x.json"],
      /--json must be a file in a directory that is there, not none\/x.json/,
    ],
    [["burst", "--json", "."], /--json must be a file in a directory that is there, not \.$/],
    [["burst", "--requests", "many"], /--requests must be a whole number from 1 on/],
    [["burst", "--requests", "0"], /--requests must be a whole number from 1 on/],
    [["grant", "--pools", "4,x"], /--pools must be whole numbers with commas between/],
    [["burst", "--users", "600000"], /--users must be at most --requests/],
    [["open", "--count", "10000"], /--count must be less than --connections/],
    [["crowd", "--days", "284"], /--days must be more than 284/],
    [["growth", "--users", "100"], /--users must be at least 96000/],
    [["burst", "--fast"], /--fast/],
  ] as const)
    assert.throws(() => read(...args), { message: sentence });
});

test("quick sizes and defaults pass their own checks, and the usage names every scenario", () => {
  for (const scenario of scenarios) {
    optionsOf(scenario, false, {});
    optionsOf(scenario, true, {});
    assert.match(usageOf(scenarios), new RegExp(`^  ${scenario.name} `, "m"));
  }
});

test("servers: what one does is told without its start; what 50 would do is 50 times that; leases asked for too often are wrong", () => {
  const options: ServersOptions = {
    rounds: 1,
    servers: [1, 4],
    rates: [100, 400],
    users: [10, 1_000],
    seconds: 5,
  };
  const none = {
    ...{ cpu: Number.NaN, database: 0, statements: 8, leases: 1, counts: 2, lived: 1, asked: 1 },
    connections: 6,
  };
  const seen = { cpu: 60, database: 4, statements: 48, leases: 11, counts: 7, lived: 10, asked: 5 };
  const volley = (load: Contender["load"], users: number, servers: number): [Contender, Seen[]] => [
    { servers, users, load },
    [
      load === "start"
        ? none
        : { ...seen, ...(servers === 1 ? { connections: 7 } : { connections: 6, cpu: 90 }) },
    ],
  ];
  const volleys = [1, 4].flatMap((servers) => [
    ...(["start", "rest", "few refusals", "refusals", "reads"] as const).map((load) =>
      volley(load, 10, servers),
    ),
    ...(["start", "refusals"] as const).map((load) => volley(load, 1_000, servers)),
  ]);
  const { measures, headlines } = figuresOf(new Map(volleys), options);
  assert.deepEqual(
    measures.map(({ group, name }) => `${group}: ${name}`),
    ["1 server", "4 servers"].flatMap((group) =>
      [
        "at rest",
        "refusals, 100 a second",
        "refusals, 400 a second",
        "reads of the live coupons, 400 a second",
        "refusals, 400 a second, 1,000 users",
      ].map((name) => `${group}: ${name}`),
    ),
  );
  assert.deepEqual(measures.at(-1), {
    group: "4 servers",
    name: "refusals, 400 a second, 1,000 users",
    figures: {
      "statements a second, each server": [4, 4, 4],
      "questions for leases a second, each server": [2, 2, 2],
      "calls that count a second, each server": [1, 1, 1],
      "CPU of the database, ms a second, each server": [4, 4, 4],
      "CPU of the servers, µs a request": [90, 90, 90],
      "connections, each server": [6, 6, 6],
    },
  });
  assert.deepEqual(
    headlines.map(({ name, value }) => [name, value]),
    [
      ["questions for leases a second and server, for a coupon that is sold out", 2],
      ["calls that count who asked, a second and server", 1],
      ["statements a second of a server at rest", 4],
      ["statements of a server, refusals at the high rate / at the low rate", 1],
      ["statements of a server, refusals with many users / with few", 1],
      ["CPU of the database, refusals with many users / with few", 1],
      ["statements of each of 4 servers / of one, refusals", 1],
      ["50 servers, a coupon sold out: statements a second", 200],
      ["50 servers, a coupon sold out: CPU of the database, of one core", 20],
      ["50 servers: connections at most seen", 350],
      ["10,000,000 refusals in a minute: cores for the servers", 10],
    ],
  );
  assert.deepEqual(
    headlines.filter((headline) => judge("servers", headline)).map(({ name }) => name.split(" ")[0]),
    ["questions", "calls", "statements", "statements", "statements"],
  );
  // Where nobody is refused, nobody asks.
  const wrong = (name: string, questions: number) =>
    `${name}: ${questions} questions for leases a second and server`;
  assert.deepEqual(
    wrongLeases(measures),
    ["1 server", "4 servers"].flatMap((group) =>
      ["at rest", "reads of the live coupons, 400 a second"].map((name) => wrong(`${group}, ${name}`, 2)),
    ),
  );
  const once = volleys.map(([contender, [seen]]): [Contender, Seen[]] => [
    contender,
    [{ ...(seen as Seen), leases: contender.load === "few refusals" ? 12 : 1 }],
  ]);
  assert.deepEqual(
    wrongLeases(figuresOf(new Map(once), options).measures),
    ["1 server", "4 servers"].flatMap((group) => [
      wrong(`${group}, refusals, 100 a second`, 2.2),
      wrong(`${group}, refusals, 400 a second`, 0),
      wrong(`${group}, refusals, 400 a second, 1,000 users`, 0),
    ]),
  );
});
