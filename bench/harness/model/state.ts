/** What the model of the service knows, and what its parts say of that. */
import { BY_HAND, type Command, dayOf, type Metadata, NOW } from "./commands.ts";

export interface Coupon {
  coupon_id: number;
  code: string;
  message: string;
  description: string;
  metadata: Metadata;
  start: number;
  expiry: number;
  count: number;
  issued: number;
  paused: boolean;
  slot: number;
  group: string | null;
  from: number | null;
  /** What create_coupon() was given. */
  asked: unknown[];
  reason: string | null;
}

export interface Grant {
  user: number;
  coupon: number;
  position: number;
  issued_at: unknown;
  /** Midnights since. */
  age: number;
  used_date: unknown;
  use_reference: string | null;
  /** Who used it; null: by no till. */
  used_by: string | null;
}

export interface PlanEntry {
  weekday: number;
  slot: number;
  pattern: string;
  /** Of its start, by local clocks; it expires a day later, … */
  hour: number;
  count: number;
  /** … or half a minute. */
  isBrief: boolean;
}

export interface Subject {
  subject: string;
  issuer: string;
  user_id: number;
  /** Forgotten two days ago. */
  isOver?: boolean;
}

export interface Key {
  id: string;
  /** Null: never recorded. */
  name: string | null;
  revoked: boolean;
}

/** A coupon that was taken out. */
export interface Retired {
  coupon: Coupon;
  /** Of how many grants it still has. */
  left: number;
  /** The days of those that were moved out. */
  gone: string[];
  /** How many requests for it were answered. */
  asked: number;
}

export interface Webhook {
  name: string;
  url: string;
  types: string[];
  isDisabled: boolean;
  /** As they were told, the newest first: what is sent is signed with all of them. */
  secrets: unknown[];
  /** Of all that it ever had. */
  secretCount: number;
}

/** What servers counted of a coupon, in one second. */
export interface Demand {
  coupon: number;
  refused: number;
  replayed: number;
  /** 0: in this run. Above: long ago, and later than those of a lower number. Null: in a quarter of an hour of then. */
  at: number | null;
}

export interface Model {
  /** Null: forgotten. */
  names: Record<number, string | null>;
  /** Also those whose user is forgotten. */
  subjects: Subject[];
  /** In the order in which they became known. */
  keys: Key[];
  /** Ids of users. */
  groups: Record<string, number[]>;
  coupons: Coupon[];
  withdrawn: Coupon[];
  /** The last id that was taken. */
  lastId: number;
  plan: PlanEntry[];
  /** Which entries were made, and as which coupons. */
  planned: { day: string; slot: number; coupon_id: number }[];
  retired: Retired[];
  /** Copies of grants that were moved out may be left. */
  isSweeping: boolean;
  grants: Grant[];
  /** Of claim codes, the oldest first: from 1. */
  secrets: { isRetired: boolean }[];
  webhooks: Webhook[];
  demand: Demand[];
  /** The last number that each server told. */
  senders: Record<number, number>;
}

export type Of<Call extends Command["call"]> = Extract<Command, { call: Call }>;

/** Tells the commands of these calls from the others. */
export function isOneOf<Call extends Command["call"]>(calls: readonly Call[]) {
  return (command: Command): command is Of<Call> => (calls as readonly string[]).includes(command.call);
}

export const isByHand = isOneOf(BY_HAND);

export const sameDay = (start: number) => (other: Coupon) => dayOf(other.start) === dayOf(start);

export function freeSlot(day: Coupon[]): number {
  return [1, 2, 3].find((slot) => !day.some((other) => other.slot === slot)) ?? 0;
}

/** From when somebody can have it. */
export const firstStart = ({ start, from }: Coupon) => from ?? start;

/** Why nobody gets it, or nobody who is not in its group. */
export function closed(c: Coupon, isMember = false): string | undefined {
  if ((isMember ? firstStart(c) : c.start) > NOW) return "not_started";
  if (c.expiry <= NOW) return "ended";
  if (c.paused) return "paused";
  return c.issued === c.count ? "sold_out" : undefined;
}

export function heldBy({ grants }: Pick<Model, "grants">, user: number, coupon: number): Grant | undefined {
  return grants.find((grant) => grant.user === user && grant.coupon === coupon);
}

export function spent(model: Model, user: number): boolean {
  return model.grants.some((grant) => grant.user === user && grant.age === 0);
}

/** How many requests for a coupon were answered. */
export function askedFor({ demand }: Model, { coupon_id, issued }: Coupon): number {
  return demand
    .filter(({ coupon }) => coupon === coupon_id)
    .reduce((sum, { refused, replayed }) => sum + refused + replayed, issued);
}

export function emptyModel(): Model {
  const [plan, planned, coupons] = [[], [], []];
  return {
    names: {},
    subjects: [],
    keys: [],
    groups: {},
    coupons,
    withdrawn: [],
    lastId: 0,
    plan,
    planned,
    grants: [],
    retired: [],
    isSweeping: false,
    secrets: [{ isRetired: false }],
    webhooks: [],
    demand: [],
    senders: {},
  };
}
