/** Requests through the app, in this process: many at once, each answer judged, and the rows when all are done. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { hmacKey } from "../../server/auth/hs256.ts";
import {
  type Answer,
  adminToken,
  bodyOf,
  env,
  openWorld,
  serviceToken,
  userToken,
  type World,
} from "../harness/app.ts";
import { judge, routeOf } from "./judge.ts";
import { type Asked, type Caller, type FORGED, request, targets } from "./requests.ts";
import { checkedRun, type Tally, type Task } from "./run.ts";
import { COUPONS, HELD, USERS } from "./values.ts";

/** Requests at once, of one run. */
const BURST = 24;

const secret = env.JWT_SECRET as string;

/** Users, and coupons of all kinds: live, sold out, used, upcoming, ended, paused. */
export async function furnish({ scratch: { admin, owner } }: Pick<World, "scratch">): Promise<void> {
  await admin`
    select from import_users(
      array(select generate_series(1, ${USERS}::integer)), array(select 'Canary ' || generate_series(1, ${USERS}::integer)))`;
  await admin`
    select create_coupon(
      'C' || n, 'message ' || n, '', clock_timestamp() - (n - 4) * interval '1 day' + interval '5 minutes',
      clock_timestamp() + interval '20 days', 1 + n % 5)
    from generate_series(1, ${COUPONS}::integer) n`;
  await admin`
    select pause_coupon(5), set_coupon_count(${HELD}, ${USERS}::integer),
      issue_coupons(${HELD}, array(select generate_series(1, ${USERS / 2}::integer))), use_coupon(1, ${HELD}, 'order-1')`;
  await owner`update coupon.coupons set expiry = clock_timestamp() + interval '1 hour' where id = 7`;
  await admin`select issue_coupons(7, array[${USERS - 1}::integer, ${USERS}::integer])`;
  await owner`update coupon.coupons set expiry = clock_timestamp() where id in (7, 8)`;
}

/** What the rows must be, whatever was asked of them. */
export async function assertRules({ scratch: { owner, admin } }: Pick<World, "scratch">): Promise<void> {
  assert.deepEqual([...(await admin`select * from reconcile()`)], []);
  const broken = await owner`
    select c.id, c.count, c.issued, count(g) as rows, max(g.position) as last
    from coupon.coupons c left join coupon.user_coupons g on g.coupon_id = c.id
    group by c.id
    having c.issued <> count(g) or c.issued <> coalesce(max(g.position), 0) or c.issued > c.count`;
  assert.deepEqual([...broken], [], "issued = rows = last position <= count");
  const twice = await owner`
    select user_id, issued_on from coupon.user_coupons group by user_id, issued_on having count(*) > 1`;
  assert.deepEqual([...twice], [], "one grant a user and day");
  const invalid = await owner`
    select conname from pg_constraint c join pg_namespace n on n.oid = c.connamespace
    where n.nspname = 'coupon' and not c.convalidated`;
  assert.deepEqual([...invalid], [], "constraints that don't hold");
}

/** The server itself: it logged no failure, no call of the database went wrong, nobody watches any more. */
export async function assertSound(world: World, streams: () => number): Promise<void> {
  assert.deepEqual(world.failures(), []);
  for (const [pool, { errors }] of Object.entries(world.db.pools))
    assert.deepEqual(
      { ...errors, argument: 0 },
      { unavailable: 0, busy: 0, conflict: 0, unknown: 0, argument: 0, defect: 0 },
      pool,
    );
  assert.equal(streams(), 0, "streams that nobody reads");
  await assertRules(world);
}

/** With the route for demo tokens, which is to be asked too. */
export const openDemo = () => openWorld({ env: { DEMO: "on" } });

/** What nobody may be told. */
export function secretsOf({ scratch }: World): string[] {
  return [
    secret,
    ...[scratch.setupUrl, scratch.apiUrl, scratch.adminUrl].map((url) => new URL(url).password),
  ].filter((each) => each !== "");
}

const claims = { iss: env.JWT_ISSUER, aud: env.JWT_AUDIENCE, exp: Math.floor(Date.now() / 1000) + 86_400 };
const sign = (given: object, key = secret) => `Bearer ${hmacKey(key).sign({ ...claims, ...given })}`;
const forged: Record<(typeof FORGED)[number], string> = {
  none: `Bearer ${Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")}.${Buffer.from(JSON.stringify({ ...claims, sub: "root", role: "admin" })).toString("base64url")}.`,
  "other secret": sign({ sub: "root", role: "admin" }, "another secret, of somebody who would like to be us"),
  expired: sign({ sub: "root", role: "admin", exp: claims.exp - 2 * 86_400 }),
  "no expiry": sign({ sub: "root", role: "admin", exp: undefined }),
  cut: `Bearer ${adminToken.slice(0, -1)}`,
  root: sign({ sub: "root", role: "root" }),
  "user 0": sign({ sub: "0", role: "user" }),
  "user 1.5": sign({ sub: "1.5", role: "user" }),
  "user text": sign({ sub: "42; select", role: "user" }),
  "admin by array": sign({ sub: "root", role: ["admin"] }),
  issuer: sign({ sub: "root", role: "admin", iss: "somebody" }),
  audience: sign({ sub: "root", role: "admin", aud: "others" }),
};

export function authorizationOf(caller: Caller): string | undefined {
  switch (caller.as) {
    case "user":
      return `Bearer ${userToken(caller.user_id)}`;
    case "service":
      return `Bearer ${serviceToken}`;
    case "admin":
      return `Bearer ${adminToken}`;
    case "nobody":
      return caller.forged === undefined
        ? undefined
        : (forged[caller.forged as keyof typeof forged] ?? caller.forged);
  }
}

/** Some inputs on a database of their own, made of this seed. */
export async function fuzzHttp(task: Task): Promise<void> {
  const world = await openDemo();
  const { app } = world;
  try {
    await furnish(world);
    await task.plant?.(world.scratch);
    const secrets = secretsOf(world);
    await checkedRun("http", task, {
      values: fc.array(request, { minLength: 1, maxLength: BURST, size: "max" }),
      async attempt(burst) {
        // Some of them twice: whoever repeats a request is answered as well.
        const sent = burst.flatMap((asked, i) => (i % 8 === 7 ? [asked, asked] : [asked]));
        await Promise.all(sent.map((asked) => ask(app, asked, secrets, task.tally)));
        return sent.length;
      },
      atEnd: () => assertSound(world, app.streams),
    });
  } finally {
    await world.close();
  }
}

/** Operations that no request reached. */
export function missedBy({ counts }: Tally): string[] {
  return targets.map(({ method, template }) => `${method} ${template}`).filter((route) => !counts.has(route));
}

async function ask(
  app: { fetch(request: Request): Response | Promise<Response> },
  asked: Asked,
  secrets: readonly string[],
  tally: Tally,
): Promise<void> {
  const { method, target, body, headers } = asked;
  const authorization = authorizationOf(asked.caller);
  const sent = new Request(`http://localhost${target}`, {
    method,
    body: body ?? null,
    headers: {
      ...headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { "content-length": `${Buffer.byteLength(body)}` }),
    },
  });
  const began = performance.now();
  const response = await app.fetch(sent);
  const { answer, said } = await read(method, sent.url, response);
  const ms = performance.now() - began;
  const judged = judge(asked, sent.url, answer, said, ms, secrets);
  tally.count(judged.route, `${answer.status}`, judged.outcome, judged.refused, ms);
}

async function read(
  method: string,
  url: string,
  response: Response,
): Promise<{ answer: Answer; said: string }> {
  const { status, headers } = response;
  const isPage = routeOf(method, url) === undefined && status < 400;
  if (method === "HEAD" || isPage)
    return { answer: { status, headers, body: null }, said: isPage ? "" : await response.text() };
  const body = await bodyOf(response);
  return { answer: { status, headers, body }, said: JSON.stringify(body) };
}
