/** What the tests of webhooks share: the sender's calls, as the server makes them. */
import type { Sql } from "../../db/connect.ts";
import { arrayOf } from "../../server/database/rows.ts";

/** An event as next_webhook_events() gives it, with what it is about as one text. */
export interface Given {
  /** The webhook's, as text. */
  created_at: string;
  page_end: string | null;
  event_id: string;
  event: string;
  coupon_id: number | null;
  /** A position, or the reference of a use. */
  what: string | null;
  is_dead: boolean;
}

interface Stopped {
  event_id: string;
  status?: number | null;
  /** None: it was not its turn. */
  error?: string | null;
  wait?: number | null;
}

const nullable = (values: readonly (string | number | null)[]) =>
  `{${values.map((value) => (value === null ? "null" : arrayOf([value]).slice(1, -1))).join()}}`;

/** A server process, by its connection as coupon_api. */
export function createSender(api: Sql, sender: string) {
  return {
    sender,
    /** The webhooks that it may send to. */
    claim: async (isLeaving = false) =>
      Array.from(
        await api`select webhook_name from claim_webhooks(${sender}, ${isLeaving})`,
        (row) => row["webhook_name"],
      ),

    next: async (name: string, pageSize = 200): Promise<Given[]> => {
      await api`select from events('latest', 1)`;
      return Array.from(
        await api<Given[]>`
        select created_at::text, page_end, event_id, event, coupon_id::integer, coalesce("position"::text, use_reference) as what, is_dead
        from next_webhook_events(${sender}, ${name}, ${pageSize}::integer)`,
      );
    },

    async tell(
      name: string,
      told: { createdAt: string; pageEnd?: string | null; taken?: string[]; stopped?: Stopped[] },
    ) {
      const { createdAt, pageEnd = null, taken = [], stopped = [] } = told;
      const [row] = await api`
        select is_told, is_disabled
        from tell_webhook(${sender}, ${name}, ${createdAt}::text::timestamptz, ${pageEnd}, ${arrayOf(taken)}::text::text[],
          ${arrayOf(stopped.map(({ event_id }) => event_id))}::text::text[],
          ${nullable(stopped.map(({ status = null }) => status))}::text::integer[],
          ${nullable(stopped.map(({ error = null }) => error))}::text::text[],
          ${nullable(stopped.map(({ wait = null }) => wait))}::text::integer[])`;
      return [row?.["is_told"], row?.["is_disabled"]];
    },
  };
}

type Sender = ReturnType<typeof createSender>;

/** Sends what is next, as the server does: a coupon's events one after the other, up to the first that is not taken. */
export async function send(
  { next, tell }: Sender,
  name: string,
  take: (event: Given) => Omit<Stopped, "event_id"> | undefined = () => undefined,
  pageSize?: number,
): Promise<{ sent: Given[]; told: unknown[] }> {
  const given = await next(name, pageSize);
  const lanes = new Map<unknown, Given[]>();
  for (const event of given) {
    const lane = event.is_dead ? event.event_id : event.coupon_id;
    lanes.set(lane, [...(lanes.get(lane) ?? []), event]);
  }
  const [first] = given;
  const sent: Given[] = [];
  const taken: string[] = [];
  const stopped: Stopped[] = [];
  for (const lane of lanes.values()) {
    let last: string | undefined;
    for (const event of lane) {
      const failed = take(event);
      if (failed) {
        stopped.push({ event_id: event.event_id, ...failed });
        break;
      }
      sent.push(event);
      last = event.event_id;
    }
    if (last !== undefined) taken.push(last);
  }
  if (first === undefined) return { sent, told: [] };
  const pageEnd = given.find(({ page_end }) => page_end !== null)?.page_end ?? null;
  return { sent, told: await tell(name, { createdAt: first.created_at, pageEnd, taken, stopped }) };
}
