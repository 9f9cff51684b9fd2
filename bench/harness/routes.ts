/** What the tests of the routes share: a world a file, callers, and how an outcome and a wrong request are tested. */
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { type Command, outcomes } from "../../server/api/outcomes.ts";
import {
  type Answer,
  adminToken,
  assertProblem,
  type Call,
  openWorld,
  userToken,
  type World,
} from "./app.ts";

export const NOBODY = 9_007_199_254_740_991;
export const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;

/** What POST /coupons takes, for a coupon of this day. */
export function offer(code: string, day: string) {
  const [start_time, expiry] = [`${day}T10:00:00Z`, "2059-01-01T00:00:00Z"];
  return { code, message: "m", description: "d", start_time, expiry, count: 1, metadata: {} };
}

/** The members of a problem that says which members of a request are wrong. */
export const invalid = (...errors: [member: string, detail: string][]) => ({
  outcome: "invalid_request",
  detail: `${errors[0]?.[0] || "the request"}: ${errors[0]?.[1]}`,
  errors: errors.map(([member, detail]) => ({ member, detail })),
});

export type Wrong = [
  name: string,
  route: string,
  body: unknown,
  ...errors: [member: string, detail: string][],
];

/** Each case: what the outcome needs, its answer, and the members of that besides outcome and detail. */
type Cases<C extends Command> = Record<
  keyof (typeof outcomes)[C],
  () => Promise<[Answer, Record<string, unknown>]>
>;

/** The arguments of test(), which the test's own file calls: so a report names that file. */
type Test = [name: string, run: () => Promise<void>];

/** A world for the tests of one file, with callers. A test fails if the service logs an error meanwhile, and the file if it does at the end. */
export function routesWorld() {
  let world: World;
  let told = 0;
  const noneFailed = () => {
    const failures = world.failures().slice(told);
    told += failures.length;
    assert.deepEqual(failures, [], "nothing here was our mistake");
  };
  before(async () => {
    world = await openWorld();
  });
  afterEach(noneFailed);
  after(async () => {
    await world.close();
    noneFailed();
  });

  const asAdmin = (route: string, body: unknown = {}) => world.call(route, { token: adminToken, body });
  const asAdminGet = (path: string) => world.call(`GET ${path}`, { token: adminToken });
  const asUser = (userId: number, route: string, call: Call = {}) =>
    world.call(route, { token: userToken(userId), ...call });

  return {
    world: () => world,
    asAdmin,
    asAdminGet,
    asUser,

    /** A user that holds a new coupon, and maybe used it. */
    async holder(reference?: string) {
      const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon()];
      assert.equal((await world.issue(coupon_id, user_id)).status, 201);
      if (reference !== undefined) {
        const used = await asUser(user_id, `POST /coupons/${coupon_id}/use`, { body: { reference } });
        assert.equal(used.status, 200);
      }
      return { user_id, coupon_id };
    },

    /** A test for each outcome of a command, by the status and the sentence of server/api/outcomes.ts. */
    outcomeTests<C extends Command>(command: C, cases: Cases<C>): Test[] {
      const answers: Record<string, { status: number; detail: string }> = outcomes[command];
      return Object.entries(answers).map(([outcome, { status, detail }]) => [
        `${command}: ${outcome}`,
        async () => {
          const [answer, members] = await cases[outcome as keyof Cases<C>]();
          if (status >= 300) {
            assertProblem(answer, status, { outcome, detail, ...members });
            assert.equal(answer.headers.has("retry-after"), outcome === "not_started");
          } else {
            // In a success, a member without a value is null.
            const told = Object.entries(answer.body).filter(([, value]) => value !== null);
            assert.deepEqual(Object.fromEntries(told), { outcome, ...members });
            assert.equal(answer.status, status);
            assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
          }
        },
      ]);
    },

    /** A test for each wrong body. */
    wrongBodyTests: (all: readonly Wrong[]): Test[] =>
      all.map(([name, route, body, ...errors]) => [
        `400: ${name}`,
        async () => assertProblem(await asAdmin(route, body), 400, invalid(...errors)),
      ]),

    /** A test for each wrong query or id in a path. */
    wrongTargetTests: (all: readonly [path: string, member: string, detail: string][]): Test[] =>
      all.map(([path, ...error]) => [
        `400: GET ${path}`,
        async () => assertProblem(await asAdminGet(path), 400, invalid(error)),
      ]),
  };
}

/** Ids in a path that are none, and why. */
export const WRONG_IDS = ["0", "-1", "1.5", "9007199254740992", "x", "01", "1e3", "%31%30x", "%zz", "٤"].map(
  (id) =>
    [
      id,
      id === "9007199254740992" ? "must be at most 9007199254740991" : "must be a whole number from 1",
    ] as const,
);
