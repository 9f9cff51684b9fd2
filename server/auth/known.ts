/**
 * Tokens that were valid, so that whoever comes again is known by one hash. A quarter of a million people wait for a drop, and at its
 * start all come again. An entry is 32 bytes in one flat array: Map entries with their strings took 500.
 */
import { hash, randomBytes } from "node:crypto";
import type { Caller } from "../api/caller.ts";

/** The caller of a valid token, and when the token expires (NumericDate of RFC 7519: seconds since 1970). */
export interface Verified {
  caller: Caller;
  exp: number;
}

export interface Known {
  /** The caller of a token whose generation of keys is current and which has not expired at `now` (seconds since 1970). */
  find(token: string, now: number): Caller | undefined;
  /** Remembers it. Where its place is taken, another token that would be there is forgotten. */
  add(token: string, generation: number, now: number, verified: Verified): void;
  forget(token: string): void;
}

/** Twice as many entries as people come, so that few meet: of 250,000, 1 in 160 finds its set full. 16 MB when all are in use. */
const SETS = 65_536;
const WAYS = 8;

/** Words of an entry: four of the digest, the instant up to which it is known, the generation of the keys, and two that say who. */
const WORDS = 8;
const EXP = 4;
const GENERATION = 5;
const LOW = 6;
const HIGH = 7;
/** In HIGH: who is no user; LOW is its number in a list. Of a user_id, HIGH has 21 bits. */
const OTHER = 0xffff_ffff;
/** Services and admins are few, by their keys. More of them are not remembered, until some have expired. */
const MAX_OTHERS = 1_000;
const MAX_WORD = 0xffff_ffff;
const WORD = 2 ** 32;

/** `isCurrent` says whether the keys of a generation are still those that tokens are checked with. */
export function createKnown(isCurrent: (generation: number) => boolean, sets = SETS): Known {
  // Untouched pages of it take no memory.
  const entries = new Uint32Array(sets * WAYS * WORDS);
  const digest = new Uint32Array(4);
  const others = createOthers();
  // Secret, so that nobody can make tokens that meet.
  const key = randomBytes(16).toString("hex");
  let digested: string | undefined;

  /** Where the set of a token begins. The first 128 bits of a keyed SHA-256 stand for the token: as "binary" (latin1), the cheapest form. */
  function setOf(token: string): number {
    if (token !== digested) {
      const text = hash("sha256", key + token, "binary");
      for (let word = 0; word < 4; word++)
        digest[word] =
          text.charCodeAt(4 * word) |
          (text.charCodeAt(4 * word + 1) << 8) |
          (text.charCodeAt(4 * word + 2) << 16) |
          (text.charCodeAt(4 * word + 3) << 24);
      digested = token;
    }
    return ((digest[0] as number) % sets) * WAYS * WORDS;
  }

  const isOurs = (at: number) =>
    entries[at] === digest[0] &&
    entries[at + 1] === digest[1] &&
    entries[at + 2] === digest[2] &&
    entries[at + 3] === digest[3];

  const isGood = (at: number, now: number) =>
    (entries[at + EXP] as number) > now && isCurrent(entries[at + GENERATION] as number);

  function callerAt(at: number): Caller | undefined {
    const low = entries[at + LOW] as number;
    const high = entries[at + HIGH] as number;
    if (high === OTHER) return others.find(low);
    const user_id = high * WORD + low;
    return { role: "user", user_id, subject: String(user_id) };
  }

  /** Its own place, else the first that is free or no longer good, else one that the key chooses. */
  function choose(first: number, now: number): number {
    let free: number | undefined;
    for (let at = first; at < first + WAYS * WORDS; at += WORDS) {
      if (isOurs(at)) return at;
      if (free === undefined && !isGood(at, now)) free = at;
    }
    return free ?? first + ((digest[3] as number) % WAYS) * WORDS;
  }

  /** The entry of a token, if it has one. */
  function placed(token: string): number | undefined {
    const first = setOf(token);
    for (let at = first; at < first + WAYS * WORDS; at += WORDS) if (isOurs(at)) return at;
    return undefined;
  }

  return {
    find(token, now) {
      const at = placed(token);
      return at !== undefined && isGood(at, now) ? callerAt(at) : undefined;
    },
    forget(token) {
      const at = placed(token);
      if (at !== undefined) entries[at + EXP] = 0;
    },
    add(token, generation, now, { caller, exp }) {
      const number = caller.role === "user" ? caller.user_id : others.numberOf({ caller, exp }, now);
      if (number === undefined) return;
      const at = choose(setOf(token), now);
      entries.set(digest, at);
      // A fraction of the last second is checked anew.
      entries[at + EXP] = Math.min(Math.floor(exp), MAX_WORD);
      entries[at + GENERATION] = generation;
      entries[at + LOW] = number % WORD;
      entries[at + HIGH] = caller.role === "user" ? Math.floor(number / WORD) : OTHER;
    },
  };
}

/** Who is no user, by numbers. Whoever takes another one's place has another number, so that no entry leads to somebody else. */
function createOthers() {
  /** Each is at the remainder of its number. */
  const others: (Verified & { number: number })[] = [];

  /** A place is one's until the last of its tokens that is known expires. Its entries lead nowhere then, also if the clock is set back. */
  function placeOf(caller: Caller, now: number): number | undefined {
    const place = others.findIndex((other) => isSame(other.caller, caller));
    if (place >= 0) return place;
    if (others.length < MAX_OTHERS) return others.length;
    const over = others.findIndex(({ exp }) => exp <= now);
    return over >= 0 ? over : undefined;
  }

  return {
    find(number: number): Caller | undefined {
      const other = others[number % MAX_OTHERS];
      return other?.number === number ? other.caller : undefined;
    },
    /** None: all places are taken. */
    numberOf({ caller, exp }: Verified, now: number): number | undefined {
      const place = placeOf(caller, now);
      if (place === undefined) return undefined;
      const before = others[place] ?? { number: place, caller, exp };
      const isIts = isSame(before.caller, caller);
      const number = isIts ? before.number : before.number + MAX_OTHERS;
      others[place] = { number, caller, exp: isIts ? Math.max(exp, before.exp) : exp };
      return number;
    },
  };
}

function isSame(one: Caller, other: Caller): boolean {
  if (one.role === "user" || other.role === "user") return false;
  const isLimitedAlike = one.scopes?.join() === other.scopes?.join();
  return (
    one.role === other.role && one.subject === other.subject && one.key_id === other.key_id && isLimitedAlike
  );
}
