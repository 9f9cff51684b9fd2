import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock } from "../../bench/harness/clock.ts";
import type { Db } from "../database/functions.ts";
import { createStates } from "./states.ts";

/** The first event of the stream of coupons, where the only coupon starts when so many of its questions were answered. */
async function firstState(startsAfter: number) {
  const clock = createClock();
  let answered = 0;
  const list = (isLive: boolean) => async () => {
    const isOn = answered >= startsAfter;
    answered += 1;
    const server_time = `time ${answered}`;
    return {
      coupons: isOn === isLive ? [{ coupon_id: 7, starts_in: null }] : [],
      next_after: null,
      server_time,
    };
  };
  const db = { liveCoupons: list(true), upcomingCoupons: list(false) } as unknown as Db;
  const failure = (error: unknown) => assert.fail(error as Error);
  const { coupons } = createStates({ clock, db, issuing: { outcomes: {} as never }, log: { failure } });
  const written: string[] = [];
  coupons.watch({
    write: (bytes) => written.push(String(bytes)),
    writableLength: 0,
    end() {},
    destroy() {},
    on() {},
  });
  await clock.pass(0);
  coupons.end();
  const { live, upcoming, server_time } = JSON.parse(written[1]?.match(/^data: (.*)$/m)?.[1] ?? "");
  const ids = (list: { coupon_id: number }[]) => list.map(({ coupon_id }) => coupon_id);
  return [ids(live), ids(upcoming), server_time];
}

test("a coupon that starts while the lists are read is in one of them", async () => {
  assert.deepEqual(await firstState(0), [[7], [], "time 2"]);
  assert.deepEqual(await firstState(1), [[7], [], "time 2"]);
  assert.deepEqual(await firstState(2), [[], [7], "time 2"]);
});
