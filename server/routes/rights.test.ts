/** Who may do what, on every route. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  adminToken,
  assertProblem,
  env,
  serviceToken,
  tillToken,
  userToken,
} from "../../bench/harness/app.ts";
import { routesWorld } from "../../bench/harness/routes.ts";
import { signToken } from "../auth/auth.ts";
import { pages } from "./pages.ts";

const { world, asUser, holder } = routesWorld();
// The stream of events has one, so that it answers.
before(() => world().newCoupon());

const anyone = ["user", "service", "admin"];
/** What nobody needs a token for, unless PUBLIC_OFFERS is off: server/routes/look.test.ts. */
const offers = [
  "GET /coupons/live",
  "GET /coupons/upcoming",
  "GET /coupons/events",
  "GET /coupons/:coupon_id",
];
const rights: Record<string, string[] | "public"> = {
  // And whom it answers: server/auth/demo.test.ts.
  "POST /demo/token": "public",
  "GET /livez": "public",
  "GET /readyz": "public",
  "POST /coupons": ["admin"],
  "GET /coupons": ["service", "admin"],
  "GET /coupons/live": anyone,
  "GET /coupons/upcoming": anyone,
  "GET /coupons/events": anyone,
  "POST /coupons/retire": ["admin"],
  "GET /coupons/list": ["admin"],
  "GET /coupons/status": ["admin"],
  "GET /coupons/status/events": ["admin"],
  "GET /coupons/:coupon_id": anyone,
  "GET /coupons/:coupon_id/stats": ["admin"],
  "GET /coupons/:coupon_id/timeline": ["admin"],
  "GET /daily-summary": ["admin"],
  "GET /audit": ["admin"],
  "GET /events": ["service", "admin"],
  "GET /events/stream": ["service", "admin"],
  "POST /coupons/:coupon_id/issue": anyone,
  "POST /coupons/:coupon_id/use": anyone,
  "POST /claims/use": ["till", "service", "admin"],
  "POST /claims/undo-use": ["till", "service", "admin"],
  "POST /coupons/:coupon_id/undo-use": ["service", "admin"],
  "POST /coupons/:coupon_id/pause": ["admin"],
  "POST /coupons/:coupon_id/resume": ["admin"],
  "POST /coupons/:coupon_id/count": ["admin"],
  "POST /coupons/:coupon_id/expiry": ["admin"],
  "POST /coupons/:coupon_id/start": ["admin"],
  "POST /coupons/:coupon_id/group": ["admin"],
  "POST /coupons/:coupon_id/edit": ["admin"],
  "POST /coupons/:coupon_id/withdraw": ["admin"],
  "GET /plan": ["admin"],
  "POST /plan": ["admin"],
  "POST /plan/remove": ["admin"],
  "GET /plan/preview": ["admin"],
  "POST /plan/fill": ["admin"],
  "POST /plan/copy-day": ["admin"],
  "GET /me": ["user", "till", "service", "admin"],
  "GET /users/:user_id/coupons": anyone,
  "POST /users/:user_id/forget": ["admin"],
  "POST /groups/:group_name/add": ["admin"],
  "POST /groups/:group_name/remove": ["admin"],
  "GET /groups": ["admin"],
  "GET /groups/:group_name": ["admin"],
  "GET /webhooks": ["admin"],
  "POST /webhooks": ["admin"],
  "POST /webhooks/:webhook_name/rotate-secret": ["admin"],
  "POST /webhooks/:webhook_name/enable": ["admin"],
  "POST /webhooks/:webhook_name/disable": ["admin"],
  "POST /webhooks/:webhook_name/remove": ["admin"],
  "POST /webhooks/:webhook_name/resend": ["admin"],
  "GET /webhooks/:webhook_name/deliveries": ["admin"],
  "GET /subjects": ["admin"],
  "GET /keys": ["admin"],
  "POST /keys/revoke": ["admin"],
  "POST /users": ["admin"],
  "GET /users": ["admin"],
  "POST /users/import": ["admin"],
  "GET /coupons/:coupon_id/grants": ["admin"],
};

test("each route has its rights here", () => {
  const routes = world().app.routes.map(({ method, path }) => `${method} ${path}`);
  // Pages are public, and /metrics has rights of its own: server/observability/metrics.test.ts.
  const open = ["/metrics", ...Object.keys(pages)].map((path) => `GET ${path}`);
  assert.deepEqual(routes.sort(), [...Object.keys(rights), ...open].sort());
});

for (const [route, roles] of Object.entries(rights)) {
  const target = route
    .replace(":coupon_id", "999999")
    .replace(":user_id", "7")
    .replace(":group_name", "vip")
    .replace(":webhook_name", "crm");
  const call = (token?: string) =>
    world().call(target, {
      ...(token === undefined ? {} : { token }),
      ...(route.startsWith("POST") ? { body: {} } : {}),
    });

  if (roles === "public") {
    const status = route === "POST /demo/token" ? 404 : 200; // without a demo it is not there
    test(`${route}: public`, async () => assert.equal((await call()).status, status));
    continue;
  }

  test(`${route}: no token, bad token`, async () => {
    if (offers.includes(route)) assert.equal((await call()).status, route.includes(":") ? 404 : 200);
    for (const [token, detail] of [
      [undefined, "A bearer token is needed."],
      ["x,", "A bearer token is needed."],
      ["x".repeat(15_000), "The bearer token is not valid."],
      [`${adminToken}x`, "The bearer token is not valid."],
    ] as const) {
      if (token === undefined && offers.includes(route)) continue;
      const answer = await call(token);
      assertProblem(answer, 401, { outcome: "unauthenticated", detail });
      const error = detail.startsWith("The bearer") ? ', error="invalid_token"' : "";
      assert.equal(answer.headers.get("www-authenticate"), `Bearer realm="coupons"${error}`);
    }
  });

  test(`${route}: ${roles.join(", ")}`, async () => {
    const tokens = { user: userToken(7), till: tillToken, service: serviceToken, admin: adminToken };
    for (const [role, token] of Object.entries(tokens)) {
      const answer = await call(token);
      if (roles.includes(role)) assert.ok(![401, 403, 500, 503].includes(answer.status), role);
      else
        assertProblem(answer, 403, {
          outcome: "forbidden",
          detail:
            role === "till"
              ? "The token of a till (scope use) may use a claim code, and undo that."
              : `This takes the role ${roles.join(" or ")}.`,
        });
    }
  });
}

const acting = {
  issue: (coupon: number, body: object): [string, object] => [`POST /coupons/${coupon}/issue`, body],
  use: (coupon: number, body: object): [string, object] => [
    `POST /coupons/${coupon}/use`,
    { reference: "r", ...body },
  ],
};
for (const [name, request] of Object.entries(acting)) {
  test(`${name}: a user for another`, async () => {
    const [mine, other] = [await world().newUser(), await world().newUser()];
    const [route, body] = request(await world().newCoupon(), { user_id: other });
    assertProblem(await asUser(mine, route, { body }), 403, {
      outcome: "forbidden",
      detail: "A user acts for itself only.",
    });
  });

  test(`${name}: a user that names itself`, async () => {
    const { user_id, coupon_id } = await holder();
    const [route, body] = request(coupon_id, { user_id });
    assert.equal((await asUser(user_id, route, { body })).status, 200);
  });

  for (const [role, token] of Object.entries({ service: serviceToken, admin: adminToken })) {
    test(`${name}: a ${role} for whom it names`, async () => {
      const { user_id, coupon_id } = await holder();
      const [route, body] = request(coupon_id, { user_id });
      const answer = await world().call(route, { token, body });
      assert.deepEqual([answer.status, answer.body.user_id], [200, user_id]);
    });

    test(`${name}: a ${role} that names nobody`, async () => {
      const [route, body] = request(1, {});
      assertProblem(await world().call(route, { token, body }), 400, {
        outcome: "invalid_request",
        detail: `user_id: is needed from role ${role}`,
        errors: [{ member: "user_id", detail: `is needed from role ${role}` }],
      });
    });
  }
}

test("a token with a subject of the whole length, and how it may be sent", async () => {
  const subject = "x".repeat(200);
  const token = await signToken(env.JWT_SECRET as string, env, { role: "service", subject });
  const answered = async (authorization: string) =>
    (await world().call("GET /coupons/live", { headers: { authorization } })).status;
  for (const authorization of [`Bearer ${token}`, `bearer ${token}`, `Bearer  ${token}`])
    assert.equal(await answered(authorization), 200, authorization);
  for (const authorization of [token, `Basic ${token}`, `Bearer ${token} x`, "Bearer"])
    assert.equal(await answered(authorization), 401, authorization);
});
