/** What follows from the contract for those who serve it, and for clients. */
import type { z } from "zod";
import type { problem } from "./answers.ts";
import type { contract } from "./contract.ts";
import type { Command, outcomes } from "./outcomes.ts";

export type OperationName = keyof typeof contract;
type Contract = typeof contract;

type Shape<K extends OperationName, M extends string> =
  Contract[K] extends Record<M, infer S extends z.ZodType> ? z.infer<S> : Record<string, never>;

/** What a request brings, checked. */
export interface Given<K extends OperationName> {
  path: Shape<K, "path">;
  query: Shape<K, "query">;
  body: Shape<K, "body">;
}

type StatusOf<C extends Command, O extends keyof (typeof outcomes)[C]> = (typeof outcomes)[C][O] extends {
  status: infer S;
}
  ? S
  : never;

/** The names of operations of one kind. */
export type CommandName = {
  [K in OperationName]: Contract[K] extends { command: Command } ? K : never;
}[OperationName];
/** Those that tell what is on offer, and can be cached. */
export type OfferName = Exclude<
  { [K in OperationName]: Contract[K] extends { isOffer: true } ? K : never }[OperationName],
  FeedName
>;
/** Those that tell events, for ever. */
export type FeedName = {
  [K in OperationName]: Contract[K] extends { stream: "text/event-stream" } ? K : never;
}[OperationName];
/** Lists in lines, which can be had as CSV too. */
export type ListName = {
  [K in OperationName]: Contract[K] extends { columns: readonly string[] } ? K : never;
}[OperationName];
export type CommandOf<K extends CommandName> = Contract[K]["command"];
export type AnswerOf<K extends OperationName> = z.infer<Contract[K]["answer"]>;

// ---- As a client sees it --------------------------------------------------------------------------------------------

/** What must and what may be given, as it is once it is read: an id is a number in a path too. */
type Members<K extends OperationName, M extends string> =
  Contract[K] extends Record<M, infer S extends z.ZodType>
    ? {
        [P in keyof z.input<S>]: P extends keyof z.output<S>
          ? z.output<S>[P] | (undefined extends z.input<S>[P] ? undefined : never)
          : never;
      }
    : object;

/** All members of a request, wherever they go. */
export type RequestOf<K extends OperationName> = Members<K, "path"> &
  Members<K, "query"> &
  Members<K, "body">;

/** In JSON what is not there is left out, and is not undefined. */
type OfJson<T> = { [P in keyof T]: Exclude<T[P], undefined> };
type Problem = OfJson<Omit<z.infer<typeof problem>, "outcome" | "status">>;

/** The outcomes of a command with this status, and what is known then. */
type Ending<C extends Command, S, A> = S extends 200 | 201
  ? { outcome: OutcomeOf<C, S> } & A
  : { outcome: OutcomeOf<C, S>; status: S } & Problem & Partial<A>;
type OutcomeOf<C extends Command, S> = {
  [O in keyof (typeof outcomes)[C]]: StatusOf<C, O> extends S ? O : never;
}[keyof (typeof outcomes)[C]];
type StatusesOf<C extends Command> = {
  [O in keyof (typeof outcomes)[C]]: Extract<StatusOf<C, O>, number>;
}[keyof (typeof outcomes)[C]];

/** What a call comes to: of a command one of its outcomes, with what is known then. */
export type ResultOf<K extends OperationName> = K extends CommandName
  ? { [S in StatusesOf<CommandOf<K>>]: Ending<CommandOf<K>, S, AnswerOf<K>> }[StatusesOf<CommandOf<K>>]
  : AnswerOf<K>;

/** Where an operation is. */
export type RouteOf<K extends OperationName> = Contract[K]["route"];
