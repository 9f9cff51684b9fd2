/**
 * What a few users can do beside a drop without breaking a limit: ask for coupons that have ended, read their wallets, and so on. Each
 * is a flight of requests at a fixed rate that goes on until it is told to stop.
 */
import { connect, type Sql } from "../../db/connect.ts";
import { adminToken, issueShot, type Shot, userToken } from "../harness/tokens.ts";
import { KINDS, type Kind } from "./drop.ts";
import { evenly, type Flight, fly, greet, openPool, wire } from "./open-loop.ts";

export interface Attack {
  name: string;
  /** What it is measured beside. */
  beside: readonly Kind[];
  connections: number;
  /** When each request is due, ms. */
  due: Float64Array;
  shot(sent: number): Shot;
  /** Claims this coupon in psql and does not commit before the attack ends: the issuing lock is held. */
  heldCoupon?: number;
}

interface Targets {
  secret: string;
  /** Coupons that have ended, at least ENDED. */
  ended: readonly number[];
  /** A coupon of an earlier day with very many grants. */
  big: number;
  /** A coupon with room that nobody else asks for. */
  other: number;
  /** The sold-out coupon of the drop. */
  soldOut: number;
}

/** No attack: what all others are compared with. */
export const UNDISTURBED = "undisturbed";

/** Coupons that have ended and are asked for at the same time, at most. */
export const ENDED = 284;
/** Claims a second for those. */
const MANY = 500;
/** No attack either: as many claims of the drop's own sold-out coupon, which shows what so many requests cost whatever they ask for. */
export const AS_MANY = `${MANY} refusals`;
/** So long an attack lasts if nobody ends it, s. */
const LONGEST_S = 120;
/** Requests a second that one user may go on sending: RATE_LIMIT is 100 in 10 s. */
const OF_ONE_USER = 9.5;
/** Askers for statistics at the same time, and how often they all ask. */
const STATISTICS = 8;
const STATISTICS_MS = 250;
/** So long an attack goes on before anything is measured, ms. */
const LEAD_MS = 500;
/** A request that finds no free connection for so long is given up, ms. */
const PATIENCE_MS = 10_000;
/** Who attacks: users from 1 on. The last one claims in psql. */
export const ATTACKERS = 60;

export function createAttacks({ secret, ended, big, other, soldOut }: Targets): Attack[] {
  const tokens = Array.from({ length: ATTACKERS }, (_, i) => userToken(secret, i + 1));
  const admin = adminToken(secret);
  const tokenOf = (userId: number) => tokens[userId - 1] as string;
  const atRate = (perSecond: number, shot: (userId: number, sent: number) => Shot) => {
    const users = Math.max(4, Math.ceil(perSecond / OF_ONE_USER));
    return {
      connections: 64,
      due: evenly(perSecond, LONGEST_S),
      shot: (sent: number) => shot(1 + (sent % users), sent),
    };
  };
  const claims = (perSecond: number, coupons: number) =>
    atRate(perSecond, (userId, sent) => issueShot(tokenOf(userId), ended[sent % coupons] as number));
  return [
    {
      name: UNDISTURBED,
      beside: KINDS,
      connections: 1,
      due: new Float64Array(0),
      shot: () => get("/livez", ""),
    },
    { name: "16 ended coupons", beside: KINDS, ...claims(38, 16) },
    { name: `${ENDED} ended coupons`, beside: KINDS, ...claims(MANY, ENDED) },
    { name: AS_MANY, beside: KINDS, ...atRate(MANY, (userId) => issueShot(tokenOf(userId), soldOut)) },
    // Beside refusals only: who holds the issuing lock keeps every grant waiting, and shall.
    { name: "a claim held in psql", beside: ["refusals"], ...claims(95, 16), heldCoupon: other },
    {
      name: "wallets",
      beside: KINDS,
      ...atRate(120, (userId) => get(`/users/${userId}/coupons`, tokenOf(userId))),
    },
    {
      name: "statistics",
      beside: KINDS,
      connections: STATISTICS,
      due: Float64Array.from(
        { length: (STATISTICS * LONGEST_S * 1000) / STATISTICS_MS },
        (_, i) => Math.floor(i / STATISTICS) * STATISTICS_MS,
      ),
      shot: () => get(`/coupons/${big}/stats`, admin),
    },
  ];
}

/** Does `work` while the attack goes on, and answers what both came to. */
export async function during<T>(
  attack: Attack,
  { url, adminUrl }: { url: string; adminUrl: string },
  work: () => Promise<T>,
): Promise<{ result: T; flight: Flight }> {
  const { host } = new URL(url);
  const pool = await openPool(url, attack.connections);
  const psql = connect(adminUrl);
  const end = new AbortController();
  try {
    await greet(pool, host);
    if (attack.heldCoupon !== undefined) await claim(psql, attack.heldCoupon);
    const flight = fly(pool, {
      due: attack.due,
      request: (sent) => wire(attack.shot(sent), host),
      patience: PATIENCE_MS,
      signal: end.signal,
    });
    await new Promise((resolve) => setTimeout(resolve, LEAD_MS));
    const result = await work();
    end.abort();
    return { result, flight: await flight };
  } finally {
    end.abort();
    await psql.end({ timeout: 1 });
    pool.close();
  }
}

/** Not committed: the transaction ends with the session. */
async function claim(psql: Sql, couponId: number): Promise<void> {
  await psql`begin`;
  await psql`select from issue_coupon(user_id => ${ATTACKERS}, coupon_id => ${couponId})`;
}

function get(path: string, token: string): Shot {
  return { method: "GET", path, headers: { authorization: `Bearer ${token}` }, body: "" };
}
