/** The shapes that operations of the contract have: a command, a read, a stream of events, a list in lines, or none of these. */

import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Hono } from "hono";
import type { Caller } from "../api/caller.ts";
import { contract, type Operation } from "../api/contract.ts";
import type {
  AnswerOf,
  CommandName,
  CommandOf,
  FeedName,
  Given,
  ListName,
  OfferName,
  OperationName,
} from "../api/contract-types.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Outcome } from "../api/outcomes.ts";
import { nothing } from "../api/requests.ts";
import type { Authenticate } from "../auth/auth.ts";
import type { Clock } from "../clock.ts";
import { commandAnswer, type Sent, success } from "../http/answer.ts";
import { bodyOf } from "../http/body.ts";
import { tellDeprecated } from "../http/deprecated.ts";
import type { Exchanges } from "../http/exchange.ts";
import type { Feed, Output } from "../http/feed.ts";
import type { Rows } from "../http/lines.ts";
import type { Looks } from "../http/looks.ts";
import { createPlaces, type Places } from "../http/places.ts";
import { Problem } from "../http/problem.ts";
import { type Bindings, type Ctx, parsed, queryOf, unlessLeft } from "../http/request.ts";
import type { Metrics } from "../observability/metrics.ts";
import { createCallerOf } from "./caller.ts";
import { answerList, formOf, streamHeaders } from "./list.ts";
import { answerLook } from "./look.ts";

export type App = Hono<{ Bindings: Bindings }>;

/** What a handler gets: a request that has passed all checks of its shape, and who sent it. */
export type Asked<K extends OperationName> = Given<K> & {
  c: Ctx;
  who: (typeof contract)[K] extends { roles: null } | { isOffer: true } ? Caller | null : Caller;
};

interface Parts {
  authenticate: Authenticate;
  clock: Pick<Clock, "after">;
  exchanges: Exchanges;
  looks: Looks;
  metrics: Pick<Metrics, "count">;
}

/** Lists that are read at once, of a process: each holds a page of rows for its reader. */
const MAX_LISTS = 20;

export type Operations = ReturnType<typeof createOperations>;

/** Adds operations to the app. */
export function createOperations(app: App, { authenticate, clock, exchanges, looks, metrics }: Parts) {
  const callerOf = createCallerOf({ authenticate, clock, exchanges });
  const lists = createPlaces("lists", MAX_LISTS);

  /** Answers an operation, once the request has passed its checks; `first` is checked before them. */
  function on<K extends OperationName>(
    name: K,
    handler: (asked: Asked<K>) => Response | Promise<Response>,
    first: (c: Ctx) => unknown = () => {},
  ): void {
    const { route, roles, scope, stream, isOffer, path, query, body, maxBody }: Operation = contract[name];
    const needsToken = !(isOffer && looks.isPublic);
    const [method = "", template = ""] = route.split(" ");
    app.on(method, placeIn(app, contract[name]), async (c) => {
      exchanges.matched(c.env.exchange, template);
      first(c);
      const who = roles && (await callerOf(c, { roles, scope, lasts: stream !== undefined }, needsToken));
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

  /** A command answers with its outcome first, then with what its path names, and by the status of the outcome, which is counted. */
  function command<K extends CommandName>(
    name: K,
    handler: (asked: Asked<K>) => Promise<object & { outcome: Outcome<CommandOf<K>> }>,
  ): void {
    const which: CommandOf<K> = contract[name].command;
    on(name, async (asked) => {
      const { outcome, ...members } = await handler(asked);
      metrics.count(which, outcome);
      return respond(commandAnswer(which, { outcome, ...(asked.path as object), ...members }, idOf(asked.c)));
    });
  }

  /** A read answers 200 with what is found. */
  function read<K extends OperationName>(
    name: K,
    handler: (asked: Asked<K>) => Promise<AnswerOf<K> | undefined> | AnswerOf<K>,
    first?: (c: Ctx) => unknown,
  ): void {
    const answer = async (asked: Asked<K>) => {
      const found = orNotFound(await handler(asked));
      return respond(success(200, stringifyExact(found), idOf(asked.c)));
    };
    on(name, answer, first);
  }

  /** What is on offer is read once a second for all who look; `targetOf` names what is asked for, in one way. */
  function look<K extends OfferName>(
    name: K,
    targetOf: (asked: Asked<K>) => string,
    handler: (asked: Asked<K>) => Promise<AnswerOf<K> | undefined>,
  ): void {
    const [, route = ""] = contract[name].route.split(" ");
    on(name, (asked) => {
      const read = async () => stringifyExact(orNotFound(await handler(asked)));
      return answerLook(asked.c, asked.who, looks, { route, target: targetOf(asked), read });
    });
  }

  /** A stream writes the states of its feed, or what `begin` makes of each for this request. */
  function stream<K extends FeedName>(
    name: K,
    feed: Feed,
    places: Places,
    begin?: (asked: Asked<K>) => Promise<(outgoing: Output) => () => void>,
  ): void {
    on(name, (asked) => answerStream(asked.c, feed, places, exchanges, () => begin?.(asked)));
  }

  /** A list is answered in lines, or as CSV where that is wanted. */
  function list<K extends ListName, Row extends object>(
    name: K,
    handler: (asked: Asked<K>) => Promise<Rows<Row>> | Rows<Row>,
  ): void {
    on(name, async (asked) => {
      const form = formOf(asked.c);
      const rows = await handler(asked);
      hold(asked.c, lists);
      return answerList(asked.c, form, contract[name].columns, rows, exchanges);
    });
  }

  return { on, command, read, look, stream, list };
}

/**
 * The stream is written to Node's response, without the web's streams: they would be most of its cost. What `begin` asks costs something,
 * so it comes once the stream has its place; a refusal gives that back, as every answer does.
 */
async function answerStream(
  c: Ctx,
  feed: Feed,
  places: Places,
  exchanges: Exchanges,
  begin: () => Promise<(outgoing: Output) => () => void> | undefined,
): Promise<Response> {
  const { exchange, outgoing } = c.env;
  // What packs answers on the way, as webpack's development server does, would keep an event back until there are more.
  const unpacked = { "cache-control": "no-store, no-transform" };
  const headers = { ...streamHeaders(exchange.requestId, "text/event-stream"), ...unpacked };
  // Whoever asks for the head alone watches nothing.
  if (c.req.method === "HEAD") return new Response(null, { headers });
  unlessBehind(c);
  hold(c, places);
  const showTo = await begin();
  unlessLeft(c);
  if (outgoing === undefined) return new Response(null, { headers });
  exchanges.end(exchange, 200, headers);
  // It lasts as long as its connection, so it needs no frames.
  outgoing.removeHeader("transfer-encoding");
  outgoing.writeHead(200, { ...headers, connection: "close" });
  feed.watch(outgoing, showTo?.(outgoing));
  return RESPONSE_ALREADY_SENT;
}

const idOf = ({ env }: Ctx) => env.exchange.requestId;

/** Where Hono finds an operation. What says that it is deprecated comes before it. */
function placeIn(app: App, { route, deprecated }: Operation): string {
  const [method = "", template = ""] = route.split(" ");
  const place = template.replace(/\{(\w+)\}/g, ":$1");
  if (deprecated) app.on(method, place, tellDeprecated(deprecated));
  return place;
}

function orNotFound<Found>(found: Found | undefined): Found {
  if (found === undefined) throw new Problem("coupon_not_found");
  return found;
}

/** Throws if another answer comes first: a stream might never have its turn, and one connection could take many places. */
function unlessBehind(c: Ctx): void {
  unlessLeft(c);
  if (c.env.outgoing?.socket === null)
    throw new Problem("invalid_request", { detail: "A stream needs a connection without other requests." });
}

/** Takes a place until the answer is sent, or can't be any more. */
function hold(c: Ctx, places: Places): void {
  const { outgoing } = c.env;
  if (outgoing === undefined) return;
  unlessLeft(c);
  outgoing.once("close", places.take());
}

/** Made whole at once, headers and all: Hono's c.header() and c.json() would go through a Headers object each time. */
export function respond({ status, headers, text }: Sent): Response {
  return new Response(text, { status, headers });
}
