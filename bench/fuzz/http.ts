/** Requests through the app, in this process: many at once, each answer judged, and the rows when all are done. */
import fc from "fast-check";
import { type Answer, bodyOf } from "../harness/app.ts";
import { authorizationOf } from "./callers.ts";
import { judge, routeOf } from "./judge.ts";
import { type Asked, request } from "./requests.ts";
import { checkedRun, type Tally, type Task } from "./run.ts";
import { targets } from "./targets.ts";
import { assertSound, furnish, openDemo, secretsOf } from "./world.ts";

/** Requests at once, of one run. */
const BURST = 24;

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
        await Promise.all(sent.map((asked) => ask(world, asked, secrets, task.tally)));
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
  world: { ask(path: string, init: RequestInit): Promise<Response> },
  asked: Asked,
  secrets: readonly string[],
  tally: Tally,
): Promise<void> {
  const { method, target, body, headers } = asked;
  const authorization = authorizationOf(asked.caller);
  const { url } = new Request(`http://localhost${target}`);
  const began = performance.now();
  const response = await world.ask(target, {
    method,
    body: body ?? null,
    headers: {
      ...headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { "content-length": `${Buffer.byteLength(body)}` }),
    },
  });
  const { answer, said } = await read(method, url, response);
  const ms = performance.now() - began;
  const judged = judge(asked, url, answer, said, ms, secrets);
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
