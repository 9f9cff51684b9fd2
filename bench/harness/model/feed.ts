/** What events() must tell of the model: what happened to each coupon, in the order in which it is gathered. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Sql } from "../../../db/connect.ts";
import type { Command, Row } from "./commands.ts";
import { type Coupon, emptyModel, heldBy, isByHand, type Model } from "./state.ts";

interface Happening extends Row {
  event: string;
  coupon_id: number | null;
  user_id: number | null;
  position: number | null;
  use_reference: string | null;
}

/** Since the last gathering. A change comes after the grant at its place, if that is not told yet. */
interface Pending {
  grants: Happening[];
  changes: { place: number; happening: Happening }[];
}

export interface Feed {
  /** What a command has changed; what is done by hand, past the functions, happened to nobody. */
  note(before: Model, after: Model, command: Command): void;
  /** All events from the beginning. */
  read(): Row[];
}

/** Of a service that was opened with these rows. */
export function createFeed(opened: Model): Feed {
  let told: Happening[] = [];
  const pending = new Map<number | null, Pending>();
  const of = (coupon: number | null) => {
    const own = pending.get(coupon) ?? { grants: [], changes: [] };
    pending.set(coupon, own);
    return own;
  };

  function add(before: Model, after: Model): void {
    // Who creates a webhook reads the newest event, so that what is sent begins behind it.
    if (after.webhooks.length > before.webhooks.length) gather();
    for (const { name, isDisabled } of after.webhooks)
      if (isDisabled && before.webhooks.some((was) => was.name === name && !was.isDisabled))
        of(null).changes.push({ place: 0, happening: happened("webhook_disabled", null) });
    for (const { coupon_id, event, place } of changes(before, after))
      of(coupon_id).changes.push({ place, happening: happened(event, coupon_id) });
    for (const grant of after.grants) {
      const { user, coupon, position } = grant;
      const was = heldBy(before, user, coupon);
      if (was === undefined) {
        of(coupon).grants.push(happened("issued", coupon, { user_id: user, position }));
        if (after.coupons.find(({ coupon_id }) => coupon_id === coupon)?.count === position)
          of(coupon).grants.push(happened("sold_out", coupon, { position }));
      }
      const [used, use_reference] = [was?.use_reference ?? null, grant.use_reference];
      if ((used === null) !== (use_reference === null)) {
        const which = { user_id: user, use_reference: use_reference ?? used };
        const happening = happened(use_reference === null ? "undone" : "used", coupon, which);
        of(coupon).changes.push({ place: position, happening });
      }
    }
  }
  function gather(): void {
    // Those of no coupon come last.
    const last = (coupon: number | null) => coupon ?? Number.MAX_SAFE_INTEGER;
    for (const [, own] of [...pending].toSorted(([a], [b]) => last(a) - last(b))) told.push(...inOrder(own));
    pending.clear();
  }
  add(emptyModel(), opened);

  /** Grants that were moved out have no events, nor have those that nobody had read when their coupon was taken out. */
  function forgetGrants({ retired }: Model): void {
    for (const { coupon, left } of retired) {
      const isGone = ({ coupon_id, event, position }: Happening) =>
        coupon_id === coupon.coupon_id && ["issued", "sold_out"].includes(event) && (position ?? 0) > left;
      told = told.filter((each) => !isGone(each));
      of(coupon.coupon_id).grants = [];
    }
  }

  return {
    note(before, after, command) {
      if (command.call === "forget_user" && after.names[command.user] === null) {
        const all = [
          ...told,
          ...[...pending.values()].flatMap(({ changes }) => changes.map((c) => c.happening)),
        ];
        for (const each of all)
          if (each.user_id === command.user && each.use_reference !== null)
            each.use_reference = "(forgotten)";
      } else if (!isByHand(command)) add(before, after);
      forgetGrants(after);
    },
    read() {
      gather();
      return told.map((each) => ({ ...each }));
    },
  };
}

const happened = (event: string, coupon_id: number | null, given: Partial<Happening> = {}): Happening => ({
  ...{ event, coupon_id, user_id: null, position: null, use_reference: null },
  ...given,
});

/** What operators did with coupons, and how many units of each were issued then. */
function changes(before: Model, after: Model): { coupon_id: number; event: string; place: number }[] {
  const wasThere = new Map(before.coupons.map((c) => [c.coupon_id, c]));
  const isThere = new Set(after.coupons.map((c) => c.coupon_id));
  const gone = before.coupons
    .filter(({ coupon_id }) => !isThere.has(coupon_id))
    .map(({ coupon_id }) => {
      const isRetired = after.retired.some(({ coupon }) => coupon.coupon_id === coupon_id);
      return { coupon_id, event: isRetired ? "retired" : "withdrawn", place: 0 };
    });
  return after.coupons
    .flatMap((c) => {
      const was = wasThere.get(c.coupon_id);
      const event = was ? changeOf(was, c) : "created";
      return event ? [{ coupon_id: c.coupon_id, event, place: was?.issued ?? 0 }] : [];
    })
    .concat(gone);
}

function changeOf(was: Coupon, is: Coupon): string | undefined {
  if (was.paused !== is.paused) return is.paused ? "paused" : "resumed";
  if (was.count !== is.count)
    return is.count === is.issued ? "sold_out" : was.count === is.issued ? "restocked" : "edited";
  const members = ["code", "message", "description", "metadata", "start", "expiry", "group", "from"] as const;
  return members.some((member) => !isDeepStrictEqual(was[member], is[member])) ? "edited" : undefined;
}

/** A change after the grants up to its place and after the changes before it. */
function inOrder({ grants, changes }: Pending): Happening[] {
  const left = [...grants];
  const upTo = (place: number) => {
    const end = left.findIndex(({ position }) => (position ?? 0) > place);
    return left.splice(0, end < 0 ? left.length : end);
  };
  let reached = 0;
  const merged = changes.flatMap(({ place, happening }) => {
    reached = Math.max(reached, place);
    return [...upTo(reached), happening];
  });
  return [...merged, ...left];
}

/** All events of the service, read in pages of this size, each of which is full but the last one. */
export async function readFeed(sql: Sql, size: number): Promise<Row[]> {
  const rows: Row[] = [];
  const ids = new Set<string>();
  for (let after: string | null = null; ; ) {
    const page: readonly Row[] = await sql`
      select event_id, event, coupon_id::integer, user_id::integer, "position", use_reference
      from events(${after}, ${size}::integer)`;
    for (const { event_id, ...row } of page as readonly (Row & { event_id: string })[]) {
      assert.ok(!ids.has(event_id), `${event_id} is told twice`);
      ids.add(event_id);
      rows.push(row);
      after = event_id;
    }
    if (page.length < size) return rows;
  }
}
