/** The server as a process of its own whose log a test reads, and clients that ask it all the time. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { env, userToken } from "./app.ts";
import { STARTING } from "./process.ts";
import type { Scratch } from "./scratch.ts";

/** The process as ./sd start makes it. */
function spawnServer(
  { apiUrl }: Pick<Scratch, "apiUrl">,
  variables: Record<string, string> = {},
): ChildProcess {
  return spawn(process.execPath, [...TYPESCRIPT, "server/main.ts"], {
    env: {
      ...STARTING,
      PORT: "0",
      HOST: "127.0.0.1",
      API_DATABASE_URL: apiUrl,
      JWT_SECRET: env.JWT_SECRET,
      ...variables,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** A server that listens, with what it has logged so far. */
export async function startLogging(
  t: TestContext,
  database: Pick<Scratch, "apiUrl">,
  variables: Record<string, string> = {},
) {
  const child = spawnServer(database, variables);
  t.after(() => child.kill("SIGKILL"));
  assert.ok(child.stdout);
  const logged: Record<string, unknown>[] = [];
  const lines = createInterface({ input: child.stdout });
  const exited = once(child, "close"); // with all that it logged read
  const url = await new Promise<string>((resolve, reject) => {
    exited.then(() => reject(new Error("the server ended")));
    lines.on("line", (text) => {
      const line = JSON.parse(text);
      logged.push(line);
      if (line.message === "listening") resolve(line.url);
    });
  });
  let isOver = false;
  void exited.then(() => {
    isOver = true;
  });
  const linesOf = (message: string) => logged.filter((line) => line["message"] === message);
  return {
    child,
    url,
    port: Number(new URL(url).port),
    logged,
    exited,
    /** Waits for so many lines with this message. It must not end before. */
    async seen(message: string, times = 1) {
      while (linesOf(message).length < times) {
        assert.equal(isOver, false, `it says ${message}: ${JSON.stringify(logged)}`);
        await Promise.race([once(lines, "line"), exited]);
      }
      return linesOf(message);
    },
  };
}

/** The exit status and the output of a server that does not start. */
export async function failedServer(
  database: Pick<Scratch, "apiUrl">,
  variables: Record<string, string>,
): Promise<[unknown, string]> {
  const child = spawnServer(database, variables);
  const [said = [], [code]] = await Promise.all([child.stderr?.toArray(), once(child, "close")]);
  return [code, Buffer.concat(said).toString()];
}

/** A POST …/issue on this agent's connections. */
export async function issueBy(agent: Agent, url: string, couponId: number, userId: number) {
  const headers = { authorization: `Bearer ${userToken(userId)}` };
  return new Promise<{ status: number | undefined; connection: string | undefined }>((resolve, reject) => {
    request(`${url}/coupons/${couponId}/issue`, { method: "POST", agent, headers }, (response) =>
      response
        .resume()
        .once("end", () => resolve({ status: response.statusCode, connection: response.headers.connection })),
    )
      .once("error", reject)
      .end();
  });
}

interface Asked {
  user: number;
  began: number;
  ended: number;
  status?: number | undefined;
  /** Of the connection that was lost. */
  code?: string;
}

/** More than ten clients get through while a server starts anew. */
const USERS = 100_000;

/** Ten clients ask for a coupon, again 5 ms after each answer, for each user once. Five of them keep their connections. */
export async function load(t: TestContext, { admin, owner }: Pick<Scratch, "admin" | "owner">, url: string) {
  const first = 1_000_000;
  const [made] = await admin`
    with added as (
      select count(*) from import_users(
        array(select generate_series(${first}::bigint, ${first + USERS - 1}::bigint)),
        array_fill('n'::text, array[${USERS}::integer])))
    select c.outcome, c.coupon_id::integer
    from added, create_coupon(
      'LOAD', 'm', 'd', clock_timestamp() - interval '1 day', clock_timestamp() + interval '1 day', ${USERS}) c`;
  assert.equal(made?.["outcome"], "created");
  const couponId = made?.["coupon_id"];
  const asked: Asked[] = [];
  let next = first;
  let ends = false;
  // Also where the test fails before end().
  t.after(() => {
    ends = true;
  });
  const clients = Array.from({ length: 10 }, async (_, i) => {
    const agent = new Agent({ keepAlive: i % 2 === 0 });
    t.after(() => agent.destroy());
    while (!ends) {
      const began = performance.now();
      const user = next++;
      const told = await issueBy(agent, url, couponId, user).then(
        ({ status }) => ({ status }),
        (error) => ({ code: error.code as string }),
      );
      asked.push({ user, began, ended: performance.now(), ...told });
      await sleep(5);
    }
  });
  const granted = () => asked.filter(({ status }) => status === 201);
  return {
    asked,
    /** Waits for so many more grants. */
    async answered(more: number): Promise<void> {
      for (const enough = granted().length + more; granted().length < enough; ) await sleep(5);
    },
    /** Ends the load. Asserts that every grant was answered, and that every answer is in the database. */
    async end(): Promise<void> {
      ends = true;
      await Promise.all(clients);
      const rows = await owner`
        select user_id::integer from coupon.user_coupons where coupon_id = ${couponId} order by 1`;
      assert.deepEqual(
        rows.map((row) => row["user_id"]),
        granted()
          .map(({ user }) => user)
          .sort((a, b) => a - b),
      );
    },
  };
}
