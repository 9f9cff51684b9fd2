/** One HTTP request as a client sends it, with a deadline, and what its answer means. */
import { Agent, request as httpRequest } from "node:http";
import { type Command, outcomes } from "../../server/api/outcomes.ts";
import { adminToken, tillToken, userToken } from "../harness/tokens.ts";
import { type Answer, type Ask, EARLY_GROUP } from "./history.ts";

export interface Client {
  /** Sends it to the server at this URL; hangs up after `hangUpAfter` ms, if given. Never rejects. */
  send(url: string, ask: Ask, hangUpAfter?: number): Promise<Answer>;
  /** The claim code of the first coupon in the wallet of this user; undefined where there is none, or no answer. */
  claimOf(url: string, user: number): Promise<string | undefined>;
  close(): void;
}

/** Beyond every deadline of the server's: who waits this long waits for ever. */
const DEADLINE_MS = 15_000;

const COMMANDS = {
  issue: "issue_coupon",
  use: "use_coupon",
  scan: "use_claim",
  undo: "undo_claim",
  forget: "forget_user",
  restock: "set_coupon_count",
  create: "create_coupon",
  edit: "edit_coupon",
  move: "set_coupon_start",
  early: "set_coupon_group",
  withdraw: "withdraw_coupon",
  plan: "set_plan_entry",
  retire: "retire_coupons",
} as const satisfies Record<Exclude<Ask["kind"], "fill">, Command>;
/** Filling tells what became of each day, and has no outcome of its own. */
const FILLED = { filled: { status: 200 } };
/** Outcomes of a 503 that promise that nothing was done. */
const UNDONE = new Set([
  "overloaded",
  "database_unavailable",
  "writes_stalled",
  "keys_unavailable",
  "draining",
]);
/** What Node says when nothing was sent. */
const UNREACHABLE = new Set(["ECONNREFUSED", "EADDRNOTAVAIL"]);

/** Who asks. */
export interface Tokens {
  user: (user: number) => string;
  till: (till: number) => string;
  admin: string;
}

export function tokensOf(secret: string): Tokens {
  return {
    user: (user) => userToken(secret, user),
    till: (till) => tillToken(secret, till),
    admin: adminToken(secret),
  };
}

export function createClient(
  tokens: Tokens,
  given: { deadlineMs?: number; maxSockets?: number } = {},
): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: given.maxSockets ?? 1_000 });
  const deadlineMs = given.deadlineMs ?? DEADLINE_MS;

  function send(url: string, ask: Ask, hangUpAfter?: number): Promise<Answer> {
    const { path, token, body } = wire(ask, tokens);
    return new Promise((resolve) => {
      const end = (answer: Answer) => {
        clearTimeout(timer);
        resolve(answer);
        if (answer.is === "unknown") outgoing.destroy();
      };
      const outgoing = httpRequest(
        `${url}${path}`,
        {
          method: "POST",
          agent,
          headers: {
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
          },
        },
        (incoming) => {
          const parts: Buffer[] = [];
          incoming.on("data", (part) => parts.push(part));
          incoming.once("end", () =>
            end(read(ask.kind, incoming.statusCode ?? 0, Buffer.concat(parts).toString())),
          );
          incoming.once("error", () => end({ is: "unknown", outcome: "lost" }));
        },
      );
      outgoing.once("error", ({ code = "" }: { code?: string }) =>
        end(
          UNREACHABLE.has(code)
            ? { is: "undone", outcome: "unreachable" }
            : { is: "unknown", outcome: "lost" },
        ),
      );
      const timer = setTimeout(
        () => end({ is: "unknown", outcome: hangUpAfter === undefined ? "deadline" : "hung_up" }),
        hangUpAfter ?? deadlineMs,
      );
      outgoing.end(body);
    });
  }

  async function claimOf(url: string, user: number): Promise<string | undefined> {
    try {
      const answer = await fetch(`${url}/users/${user}/coupons`, {
        headers: { authorization: `Bearer ${tokens.user(user)}` },
        signal: AbortSignal.timeout(deadlineMs),
      });
      return ((await answer.json()) as { coupons?: { claim_code: string }[] }).coupons?.[0]?.claim_code;
    } catch {
      return undefined;
    }
  }

  return { send, claimOf, close: () => agent.destroy() };
}

function wire(ask: Ask, tokens: Tokens): { path: string; token: string; body: string } {
  const path = (command: string) => `/coupons/${"coupon" in ask && ask.coupon}/${command}`;
  const by = (token: string, path: string, members: object) => ({
    path,
    token,
    body: JSON.stringify(members),
  });
  const byAdmin = (path: string, members: object) => by(tokens.admin, path, members);
  const instant = (time: number) => new Date(time).toISOString();
  switch (ask.kind) {
    case "issue":
      return by(tokens.user(ask.user), path("issue"), {});
    case "use":
      return by(tokens.user(ask.user), path("use"), { reference: ask.reference });
    case "scan":
      return by(tokens.till(ask.till), "/claims/use", { claim_code: ask.claim, reference: ask.reference });
    case "undo":
      return by(tokens.till(ask.till), "/claims/undo-use", {
        claim_code: ask.claim,
        reason: `User ${ask.user} brought it back`,
        used_date: ask.used,
      });
    case "forget":
      return byAdmin(`/users/${ask.user}/forget`, {});
    case "restock":
      return byAdmin(path("count"), { count: ask.count });
    case "create": {
      const { code, message, count } = ask;
      const [start_time, expiry] = [instant(ask.start), instant(ask.end)];
      return byAdmin("/coupons", { code, message, description: "", start_time, expiry, count });
    }
    case "edit":
      return byAdmin(path("edit"), { message: ask.message });
    case "move":
      return byAdmin(path("start"), { start_time: instant(ask.start) });
    case "early":
      return byAdmin(path("group"), { group_name: EARLY_GROUP, eligible_from: instant(ask.from) });
    case "withdraw":
      return byAdmin(path("withdraw"), {});
    case "plan": {
      const { weekday, message, count } = ask;
      const times = { local_start: "00:00", local_expiry: "00:00", expiry_days: 1 };
      const entry = { weekday, slot: 1, code_pattern: "PLAN-{date}", message, description: "", count };
      return byAdmin("/plan", { ...entry, ...times });
    }
    case "fill":
      return byAdmin("/plan/fill", { last_day: ask.last });
    case "retire":
      return byAdmin("/coupons/retire", { before: ask.before, at_most: ask.most });
  }
}

/** What an answer to this command means, by the contract: server/api/outcomes.ts, and the 503s of the README. */
export function read(kind: Ask["kind"], status: number, text: string): Answer {
  let body: {
    outcome?: string;
    coupon_id?: number;
    position?: number;
    issued_at?: string;
    used_date?: string;
    sold_out_at?: string;
    coupons?: { outcome: string; day: string; coupon_id: number }[];
  };
  try {
    body = JSON.parse(text);
  } catch {
    return { is: "wrong", outcome: `${status} ${text.slice(0, 60)}` };
  }
  const outcome = body.outcome ?? (body.coupons ? "filled" : "");
  const at = body.issued_at ?? body.used_date;
  const known: Record<string, { status: number }> = kind === "fill" ? FILLED : outcomes[COMMANDS[kind]];
  const isKnown = Object.hasOwn(known, outcome) && known[outcome]?.status === status;
  if (isKnown && status < 300)
    return {
      is: "ok",
      outcome,
      ...(body.position === undefined ? {} : { position: body.position }),
      ...(at === undefined ? {} : { at }),
      ...(kind === "create" && { coupon: body.coupon_id as number }),
      ...(body.coupons && { days: daysOf(body.coupons) }),
    };
  if (isKnown)
    return {
      is: "refused",
      outcome,
      ...(body.sold_out_at === undefined ? {} : { at: body.sold_out_at }),
    };
  if (status === 503 && outcome === "outcome_unknown") return { is: "unknown", outcome };
  if (status === 503 && UNDONE.has(outcome)) return { is: "undone", outcome };
  return { is: "wrong", outcome: `${status} ${outcome}` };
}

function daysOf(coupons: { outcome: string; day: string; coupon_id: number }[]): Record<string, number> {
  const made = coupons.filter(({ outcome }) => outcome === "made" || outcome === "already_made");
  return Object.fromEntries(made.map(({ day, coupon_id }) => [day, coupon_id]));
}
