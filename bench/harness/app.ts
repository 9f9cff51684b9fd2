/** What the server's tests share: an app on a database of its own, and callers with tokens. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, STATUS_CODES } from "node:http";
import type { AddressInfo } from "node:net";
import { withConnection } from "../../db/connect.ts";
import { signToken } from "../../server/auth/auth.ts";
import { metricsTokenOf } from "../../server/auth/secret.ts";
import { compose, type Overrides } from "../../server/compose.ts";
import { type Env, readEnv } from "../../server/env.ts";
import { createThings } from "./coupons.ts";
import { assertDocumented } from "./documented.ts";
import { type Scratch, scratchDatabase } from "./scratch.ts";

export const env = readEnv({ JWT_SECRET: "a secret of the tests, long enough for HS256" });

type Json = ReturnType<typeof JSON.parse>;

export interface Answer {
  status: number;
  headers: Headers;
  body: Json;
}

export interface Call {
  token?: string;
  /** Sent as JSON; a string as it is. */
  body?: unknown;
  headers?: Record<string, string>;
}

const secret = env.JWT_SECRET as string;
export const metricsToken = metricsTokenOf(env) as string;
export const userToken = (userId: number) => signToken(secret, env, { role: "user", subject: `${userId}` });
export const serviceToken = signToken(secret, env, { role: "service", subject: "shop" });
export const tillToken = signToken(secret, env, { role: "till", subject: "north-3" });
export const adminToken = signToken(secret, env, { role: "admin", subject: "root" });

/** How a test's service differs from the one that is run. */
export interface AppOptions extends Overrides {
  env?: Partial<Env>;
}

/** The service on the database of this URL; `logged` are the lines of its log, everything from debug on. */
export async function openApp(url: string, { env: given, ...overrides }: AppOptions = {}) {
  const logged: Json[] = [];
  const service = await compose(
    {
      ...env,
      API_DATABASE_URL: url,
      CORS_ORIGINS: ["https://shop.example"],
      RATE_LIMIT: 0,
      LOG_LEVEL: "debug",
      ...given,
    },
    {
      lanes: { maxWaitMs: 10_000 },
      readyMs: 10_000,
      writeLog(line) {
        const entry = JSON.parse(line);
        logged.push(entry);
        if (entry.level === "error") process.stderr.write(line); // ./sd test shows it if the file fails
      },
      ...overrides,
    },
  );
  const { app, db, listener } = service;
  const streaming = createServer(listener);

  /** Answers a request. An event stream is written to a connection; without one the app answers its head alone. */
  async function ask(path: string, init: RequestInit): Promise<Response> {
    const response = await app.fetch(new Request(`http://localhost${path}`, init));
    const isStream = response.headers.get("content-type") === "text/event-stream";
    if (!isStream || init.method === "HEAD") return response;
    if (!streaming.listening) await listen(streaming);
    const headers = new Headers(init.headers);
    headers.delete("expect"); // fetch() of undici 6 rejects what has it (nodejs/undici pull request 294).
    return fetch(`http://127.0.0.1:${(streaming.address() as AddressInfo).port}${path}`, {
      ...init,
      headers,
    });
  }

  /** Sends one request, for example "POST /coupons/1/issue", as a client does. Asserts that its answer is documented. */
  async function call(route: string, { token, body, headers = {} }: Call = {}): Promise<Answer> {
    const [method = "", path = ""] = route.split(" ");
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const response = await ask(path, {
      method,
      body: text ?? null,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": `${Buffer.byteLength(text)}` }),
        ...headers,
      },
    });
    const told = {
      status: response.status,
      headers: response.headers,
      body: await bodyOf(response),
    };
    assertDocumented(method, path, told);
    return told;
  }

  return {
    ...service,
    ask,
    call,
    logged,
    failures: () => logged.filter((line) => line.level === "error"),
    issue: async (couponId: number, userId: number) =>
      call(`POST /coupons/${couponId}/issue`, { token: await userToken(userId) }),
    /** In the order of the server. */
    async close() {
      app.endStreams();
      streaming.close();
      streaming.closeAllConnections();
      await db.close(1_000);
    },
  };
}

async function listen(server: Server): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
}

/** The body: of an event stream the first event, of lines all of them. */
export async function bodyOf(response: Response): Promise<Json> {
  const type = response.headers.get("content-type");
  const said = type === "text/event-stream" ? await firstEvent(response) : await response.text();
  if (type?.startsWith("text/csv")) return said;
  if (type !== "application/x-ndjson") return said === "" ? null : JSON.parse(said);
  return said
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** The data of a stream's first event. */
async function firstEvent(response: Response): Promise<string> {
  let text = "";
  for await (const part of (response.body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream(),
  )) {
    text += part;
    const [, data] = text.match(/^data: ([^\n]*)\n\n/m) ?? [];
    if (data !== undefined) return data;
  }
  throw new Error(`a stream without an event: ${text}`);
}

/** A scratch database with its app. */
export async function openWorld(options: AppOptions = {}) {
  const scratch = await scratchDatabase();
  const url = new URL(scratch.apiUrl);
  url.searchParams.set("connect_timeout", "60"); // a busy machine may take longer than the server's two seconds
  const apiUrl = url.href;
  const app = await openApp(apiUrl, options);
  return {
    ...app,
    scratch: { ...scratch, apiUrl },
    ...createThings(scratch.admin, scratch.owner),
    async close() {
      await app.close();
      await scratch.drop();
    },
  };
}

/** Asserts a problem+json with exactly these members besides title, status and request_id. */
export function assertProblem(answer: Answer, status: number, members: Record<string, unknown>): void {
  assert.deepEqual(answer.body, {
    title: STATUS_CODES[status],
    status,
    request_id: answer.headers.get("x-request-id"),
    ...members,
  });
  assert.equal(answer.status, status);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.headers.get("cache-control"), "no-store");
}

/** Sets another limit for sessions that the server opens from now on, for example "lock_timeout = '30s'". */
export async function bound({ setupUrl }: Pick<Scratch, "setupUrl">, setting: string): Promise<void> {
  const database = new URL(setupUrl).pathname.slice(1);
  await withConnection(setupUrl, (sql) =>
    sql.unsafe(`alter role coupon_api in database ${database} set ${setting}`),
  );
}

/** Holds a coupon's row, so that whoever wants to issue it waits, until the returned function is called. */
export async function holdCoupon({ owner }: Pick<Scratch, "owner">, couponId: number) {
  const session = await owner.reserve();
  await session`begin`;
  await session`select from coupon.coupons where id = ${couponId} for update`;
  return async () => {
    await session`rollback`;
    session.release();
  };
}

export type World = Awaited<ReturnType<typeof openWorld>>;
