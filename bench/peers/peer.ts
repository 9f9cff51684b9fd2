/**
 * What the service is measured against, one of these a process; PEER says which:
 *
 *     bare           node:http that answers a constant and reads nothing: the load generator's own ceiling
 *     hello          a Hono route that parses JSON and answers a constant
 *     hello-token    the same behind the server's own token check
 *     for-update     the same, and textbook.issue() of for_update.sql, one call a request
 *     issue-coupon   the same, and our issue_coupon(), one call a request
 *     redis          the same, and issue.lua, one EVALSHA a request
 *     redis-fast     issue.lua behind the service's own path for the plain request (server/routes/fast.ts), without Hono
 *
 * POOL is the number of connections to the database. Those of one event loop's turn are pipelined by both drivers.
 */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { createClient } from "@redis/client";
import { Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import postgres from "postgres";
import type { Outcome } from "../../server/api/outcomes.ts";
import { createAuthenticate } from "../../server/auth/auth.ts";
import { compose } from "../../server/compose.ts";
import { readEnv } from "../../server/env.ts";
import { createIssuing } from "../../server/issuing/issuing.ts";
import type { Constant } from "./start.ts";

type Granted = {
  outcome: string;
  position: number | null;
  issued_on: string | null;
  issued_at: string | null;
};
type Issue = (userId: number, couponId: number) => Promise<Granted>;

const variable = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

function bare(): Server {
  const { status, type, body } = JSON.parse(variable("ANSWER")) as Constant;
  const text = JSON.stringify(body);
  const headers = { "content-type": type, "content-length": Buffer.byteLength(text) };
  return createServer((request, response) => {
    request.resume();
    response.writeHead(status, headers).end(text);
  });
}

/** As a route of our own: the object is made to JSON each time. */
async function hello(withToken: boolean): Promise<Server> {
  const { status, type, body } = JSON.parse(variable("ANSWER")) as Constant;
  const authenticate = withToken ? await createAuthenticate(readEnv()) : null;
  const app = new Hono();
  app.post("/coupons/:coupon_id/issue", async (c) => {
    if (authenticate && !(await authenticate(c.req.header("authorization")?.slice("Bearer ".length) ?? "")))
      return c.json({ outcome: "unauthenticated" }, 401);
    await c.req.json();
    return c.body(JSON.stringify(body), status as ContentfulStatusCode, { "content-type": type });
  });
  return createAdaptorServer({ fetch: app.fetch }) as Server;
}

async function issuing(issue: Issue): Promise<Server> {
  const authenticate = await createAuthenticate(readEnv());
  const app = new Hono();
  app.post("/coupons/:coupon_id/issue", async (c) => {
    const who = await authenticate(c.req.header("authorization")?.slice("Bearer ".length) ?? "");
    if (who?.role !== "user") return c.json({ outcome: "unauthenticated" }, 401);
    await c.req.json();
    const coupon_id = Number(c.req.param("coupon_id"));
    const { outcome, ...granted } = await issue(who.user_id, coupon_id);
    return c.json({ outcome, coupon_id, user_id: who.user_id, ...granted }, outcome === "issued" ? 201 : 409);
  });
  return createAdaptorServer({ fetch: app.fetch }) as Server;
}

/** The service itself, but for who grants. */
async function issuingFast(issue: Issue): Promise<Server> {
  const { server } = await compose(
    readEnv({ ...process.env, API_DATABASE_URL: "postgres://127.0.0.1:1/none" }),
    {
      writeLog: () => {},
      createIssuing: (...given) => ({
        ...createIssuing(...given),
        issue: async (couponId, userId) => {
          const { outcome, ...granted } = await issue(userId, couponId);
          return {
            outcome: outcome as Outcome<"issue_coupon">,
            user_id: userId,
            ...granted,
            starts_in: null,
            sold_out_at: null,
            time_to_sell_out: null,
          };
        },
      }),
    },
  );
  return server;
}

function openPostgres(connection: Record<string, string>): postgres.Sql {
  return postgres(variable("PEER_DATABASE_URL"), {
    max: Number(variable("POOL")),
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: "coupon-peer", ...connection },
  });
}

function byForUpdate(): Issue {
  const sql = openPostgres({ role: "coupon_owner" });
  return async (userId, couponId) => {
    const [row] = await sql<Granted[]>`
      select outcome, position, issued_on::text, issued_at::text
      from textbook.issue(${userId}::bigint, ${couponId}::bigint)
    `;
    return row as Granted;
  };
}

function byIssueCoupon(): Issue {
  const sql = openPostgres({});
  return async (userId, couponId) => {
    const [row] = await sql<Granted[]>`
      select outcome, position, issued_on::text, issued_at::text
      from issue_coupon(${userId}::bigint, ${couponId}::bigint)
    `;
    return row as Granted;
  };
}

async function byRedis(): Promise<Issue> {
  const script = readFileSync(new URL("./issue.lua", import.meta.url), "utf8");
  const clients = await Promise.all(
    Array.from({ length: Number(variable("POOL")) }, async () => {
      const client = createClient({ url: variable("PEER_REDIS_URL") });
      client.on("error", () => {}); // each call is told
      return client.connect();
    }),
  );
  const sha = await clients[0]?.scriptLoad(script);
  if (sha === undefined) throw new Error("POOL must be at least 1");
  let turn = 0;
  return async (userId, couponId) => {
    const issued_at = new Date().toISOString();
    const issued_on = issued_at.slice(0, 10);
    turn = (turn + 1) % clients.length;
    const position = await clients[turn]?.evalSha(sha, {
      keys: [`coupon:${couponId}:left`, `coupon:${couponId}:holders`, `day:${issued_on}`],
      arguments: [String(userId), issued_at],
    });
    if (position === 0 || position === -1)
      return {
        outcome: position === 0 ? "sold_out" : "daily_limit_reached",
        position: null,
        issued_on: null,
        issued_at: null,
      };
    return { outcome: "issued", position: position as number, issued_on, issued_at };
  };
}

const kinds: Record<string, () => Server | Promise<Server>> = {
  bare,
  hello: () => hello(false),
  "hello-token": () => hello(true),
  "for-update": () => issuing(byForUpdate()),
  "issue-coupon": () => issuing(byIssueCoupon()),
  redis: async () => issuing(await byRedis()),
  "redis-fast": async () => issuingFast(await byRedis()),
};

const make = kinds[variable("PEER")];
if (!make) throw new Error(`PEER must be one of ${Object.keys(kinds).join(", ")}`);
const server = await make();
// As the service has it: with Node's own backlog, a thousand connections at once would wait for a retry of the kernel, and
// with its own timeout a generator that is held up for 5 s would find its connections closed.
server.keepAliveTimeout = 65_000;
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  console.log(JSON.stringify({ message: "listening", url: `http://127.0.0.1:${port}` }));
});
process.once("SIGTERM", () => process.exit(0));
