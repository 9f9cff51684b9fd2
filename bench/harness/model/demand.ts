/** What servers counted, in plain words: each count once, and the same sums when seconds become quarters of an hour. */
import type { Row } from "./commands.ts";
import { type Demand, isOneOf, type Model, type Of } from "./state.ts";

const CALLS = ["count_demand", "fold_demand", "demand_ages"] as const;
export type OfDemand = Of<(typeof CALLS)[number]>;
export const isOfDemand = isOneOf(CALLS);

export function ofDemand(model: Model, command: OfDemand): Row[] {
  // It is gone with its coupon.
  model.demand = model.demand.filter((each) => isThere(model, each.coupon));
  switch (command.call) {
    case "count_demand":
      count(model, command);
      return [{ lasts_a_second: true }];
    case "demand_ages": {
      const at = 1 + Math.max(...model.demand.map((each) => each.at ?? 0), 0);
      for (const each of model.demand) if (each.at === 0) each.at = at;
      return [];
    }
    case "fold_demand": {
      const folded = model.demand
        .filter((each) => each.at !== null && each.at > 0)
        .sort((a, b) => (a.at ?? 0) - (b.at ?? 0) || a.coupon - b.coupon)
        .slice(0, command.most);
      for (const each of folded) each.at = null;
      return [{ count: folded.length }];
    }
  }
}

const isThere = ({ coupons }: Model, coupon: number) => coupons.some(({ coupon_id }) => coupon_id === coupon);

function count(model: Model, { sender, number, asked }: Of<"count_demand">): void {
  if (number <= (model.senders[sender] ?? 0)) return;
  model.senders[sender] = number;
  for (const { coupon, refused, replayed } of asked) {
    if (!isThere(model, coupon)) continue;
    const own = model.demand.find((each) => each.coupon === coupon && each.at === 0);
    const sums: Demand = own ?? { coupon, refused: 0, replayed: 0, at: 0 };
    if (!own) model.demand.push(sums);
    sums.refused += refused;
    sums.replayed += replayed;
  }
}
