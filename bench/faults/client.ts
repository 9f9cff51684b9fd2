/** One HTTP request as a client sends it, with a deadline, and what its answer means. */
import { Agent, request as httpRequest } from "node:http";
import { type Command, outcomes } from "../../server/api/outcomes.ts";
import { type Answer, type Ask, EARLY_GROUP } from "./history.ts";

export interface Client {
  /** Sends it to the server at this URL; hangs up after `hangUpAfter` ms, if given. Never rejects. */
  send(url: string, ask: Ask, hangUpAfter?: number): Promise<Answer>;
  close(): void;
}

/** Beyond every deadline of the server's: who waits this long waits for ever. */
const DEADLINE_MS = 15_000;

const COMMANDS = {
  issue: "issue_coupon",
  use: "use_coupon",
  restock: "set_coupon_count",
  create: "create_coupon",
  edit: "edit_coupon",
  move: "set_coupon_start",
  early: "set_coupon_group",
  withdraw: "withdraw_coupon",
} as const satisfies Record<Ask["kind"], Command>;
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

export function createClient(
  tokenOf: (user: number) => string,
  adminToken: string,
  given: { deadlineMs?: number; maxSockets?: number } = {},
): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: given.maxSockets ?? 1_000 });
  const deadlineMs = given.deadlineMs ?? DEADLINE_MS;

  function send(url: string, ask: Ask, hangUpAfter?: number): Promise<Answer> {
    const { path, token, body } = wire(ask);
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

  function wire(ask: Ask): { path: string; token: string; body: string } {
    const path = (command: string) => `/coupons/${"coupon" in ask && ask.coupon}/${command}`;
    const byAdmin = (path: string, members: object) => ({
      path,
      token: adminToken,
      body: JSON.stringify(members),
    });
    const instant = (time: number) => new Date(time).toISOString();
    switch (ask.kind) {
      case "issue":
        return { path: path("issue"), token: tokenOf(ask.user), body: "{}" };
      case "use":
        return {
          path: path("use"),
          token: tokenOf(ask.user),
          body: JSON.stringify({ reference: ask.reference }),
        };
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
    }
  }

  return { send, close: () => agent.destroy() };
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
  };
  try {
    body = JSON.parse(text);
  } catch {
    return { is: "wrong", outcome: `${status} ${text.slice(0, 60)}` };
  }
  const outcome = body.outcome ?? "";
  const at = body.issued_at ?? body.used_date;
  const known: Record<string, { status: number }> = outcomes[COMMANDS[kind]];
  const isKnown = Object.hasOwn(known, outcome) && known[outcome]?.status === status;
  if (isKnown && status < 300)
    return {
      is: "ok",
      outcome,
      ...(body.position === undefined ? {} : { position: body.position }),
      ...(at === undefined ? {} : { at }),
      ...(kind === "create" && { coupon: body.coupon_id as number }),
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
