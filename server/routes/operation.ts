/** The shapes that operations of the contract have: a command, a read, a stream of events, a list in lines, or none of these. */
import type { Hono } from "hono";
import type { Caller } from "../api/caller.ts";
import { contract, type Operation } from "../api/contract.ts";
import type {
  AnswerOf,
  CommandName,
  CommandOf,
  FeedName,
  Given,
  OperationName,
} from "../api/contract-types.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Outcome } from "../api/outcomes.ts";
import { nothing } from "../api/requests.ts";
import type { Authenticate } from "../auth/auth.ts";
import { commandAnswer, type Sent, success } from "../http/answer.ts";
import { bodyOf } from "../http/body.ts";
import type { Exchanges } from "../http/exchange.ts";
import type { Feed } from "../http/feed.ts";
import { createPlaces, type Places } from "../http/places.ts";
import { Problem } from "../http/problem.ts";
import { type Bindings, type Ctx, parsed, queryOf, unlessLeft } from "../http/request.ts";
import type { Metrics } from "../observability/metrics.ts";
import { createCallerOf } from "./caller.ts";

export type App = Hono<{ Bindings: Bindings }>;

/** What a handler gets: a request that has passed all checks of its shape, and who sent it. */
export type Asked<K extends OperationName> = Given<K> & {
  c: Ctx;
  who: (typeof contract)[K]["roles"] extends null ? null : Caller;
};

interface Parts {
  authenticate: Authenticate;
  exchanges: Exchanges;
  metrics: Pick<Metrics, "count">;
}

/** Lists that are read at once, of a process: each holds a page of rows for its reader. */
const MAX_LISTS = 20;

export type Operations = ReturnType<typeof createOperations>;

/** Adds operations to the app. */
export function createOperations(app: App, { authenticate, exchanges, metrics }: Parts) {
  const callerOf = createCallerOf({ authenticate, exchanges });
  const lists = createPlaces("lists", MAX_LISTS);

  /** Answers an operation, once the request has passed its checks; `first` is checked before them. */
  function on<K extends OperationName>(
    name: K,
    handler: (asked: Asked<K>) => Response | Promise<Response>,
    first: (c: Ctx) => unknown = () => {},
  ): void {
    const { route, roles, path, query, body, maxBody }: Operation = contract[name];
    const [method = "", template = ""] = route.split(" ");
    app.on(method, template.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
      exchanges.matched(c.env.exchange, template);
      first(c);
      const who = roles && (await callerOf(c, roles));
      const asked = {
        c,
        who,
        path: path && parsed(path, c.req.param()),
        // A probe may add what it likes.
        query: query || roles ? queryOf(c, query ?? nothing) : {},
        body: body && (await bodyOf(c, body, maxBody)),
      };
      unlessLeft(c);
      return handler(asked as Asked<K>);
    });
  }

  /** A command answers with its outcome first, and by the status of that; the outcome is counted. */
  function command<K extends CommandName>(
    name: K,
    handler: (asked: Asked<K>) => Promise<{ outcome: Outcome<CommandOf<K>> } & Record<string, unknown>>,
  ): void {
    const which: CommandOf<K> = contract[name].command;
    on(name, async (asked) => {
      const { outcome, ...members } = await handler(asked);
      metrics.count(which, outcome);
      return respond(commandAnswer(which, { outcome, ...members }, asked.c.env.exchange.requestId));
    });
  }

  /** A read answers 200 with what is found. */
  function read<K extends OperationName>(
    name: K,
    handler: (asked: Asked<K>) => Promise<AnswerOf<K> | undefined> | AnswerOf<K>,
    first?: (c: Ctx) => unknown,
  ): void {
    const answer = async (asked: Asked<K>) => {
      const found = await handler(asked);
      if (found === undefined) throw new Problem("coupon_not_found");
      return respond(success(200, stringifyExact(found), asked.c.env.exchange.requestId));
    };
    on(name, answer, first);
  }

  function stream(name: FeedName, feed: Feed, places: Places): void {
    on(name, ({ c, who }) => {
      hold(c, places, who);
      const events = feed.watch();
      // Whoever asks for the head alone watches nothing, and would be told until it is found to read nothing.
      if (c.req.method === "HEAD") void events.cancel();
      return streamed(c, "text/event-stream", events);
    });
  }

  function list(c: Ctx, rows: ReadableStream<Uint8Array>): Response {
    hold(c, lists);
    return lines(c, rows);
  }

  return { on, command, read, stream, list };
}

/** Takes a place until the answer is sent, or can't be any more. */
function hold(c: Ctx, places: Places, who?: Caller): void {
  const { outgoing } = c.env;
  if (outgoing === undefined) return;
  unlessLeft(c);
  outgoing.once("close", places.take(who?.role === "user" ? who.user_id : undefined));
}

export function lines(c: Ctx, rows: ReadableStream<Uint8Array>): Response {
  return streamed(c, "application/x-ndjson", rows);
}

function streamed(c: Ctx, type: string, body: ReadableStream<Uint8Array>): Response {
  return new Response(body, {
    headers: {
      "content-type": type,
      "cache-control": "no-store",
      "x-accel-buffering": "no", // nginx would keep it back
      "x-request-id": c.env.exchange.requestId,
    },
  });
}

/** Made whole at once, headers and all: Hono's c.header() and c.json() would go through a Headers object each time. */
export function respond({ status, headers, text }: Sent): Response {
  return new Response(text, { status, headers });
}
