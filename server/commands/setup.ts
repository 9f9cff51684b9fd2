/** ./sd: sets up database, functions, demo and token secret, and says what to try. The database goes on running. */
import { withConnection } from "../../db/connect.ts";
import { LOCK_MS, unlessLocked } from "../../db/patience.ts";
import { type Left, setUp } from "../../db/setup.ts";
import type { Target } from "../../db/target.ts";
import { localUrl } from "../address.ts";
import { madeTokenSecret, signedElsewhere, signedElsewhereBy } from "../auth/secret.ts";
import type { Env } from "../env.ts";
import { openDatabase } from "./database.ts";
import { counted, say } from "./print.ts";
import { isSeeding, seed } from "./seed.ts";

export async function setup(env: Env): Promise<number> {
  const { target, started } = await openDatabase(env);
  insist(await prepare(env, target));
  if (signedElsewhereBy(env) === undefined) await madeTokenSecret(env);
  await suggest(env, target);
  if (started) say("the database runs until ./sd stop; ./sd start serves");
  return 0;
}

/** What set-up left as it is, and whether the database is the demo's. */
type Prepared = Left & { isDemo: boolean };

/** Makes everything ready and says how long it took. */
export async function prepare(env: Env, target: Target, newPasswords = false): Promise<Prepared> {
  const began = performance.now();
  const left = await setUp(target, (step) => say(`  ${step}`), { newPasswords });
  let isDemo = false;
  if (isSeeding(env) && left.onlyServes === undefined) {
    const made = await withConnection(target, (sql) => seed(sql, (line) => say(`  ${line}`)), {
      role: "coupon_admin",
    });
    isDemo = made.isDemo;
    if (made.users + made.coupons > 0)
      say(`  seeded ${counted(made.users, "user")}, ${counted(made.coupons, "coupon")}`);
    if (!isDemo && env.SEED !== undefined)
      say("  SEED=demo: nothing was made, since the database has users or coupons of its own");
  }
  if (left.onlyServes === undefined) say(`set up in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return { ...left, isDemo };
}

/** For who asked for the set-up itself: throws if there was none, since the database is of a newer release. */
export function insist({ onlyServes }: Prepared): void {
  if (onlyServes !== undefined) throw new Error(onlyServes);
}

/** Says what to try next. Every line works when it is pasted, and none has a token in it: the lines may end up in a log. */
export async function suggest(env: Env, target: Target): Promise<void> {
  const live = withConnection(
    target,
    (sql) => sql`
      select c.coupon_id, c.code
      from live_coupons() c
      where not c.paused
      order by c.sold_out, c.start_time desc
      limit 1
    `,
    { role: "coupon_admin", lockMs: LOCK_MS },
  );
  const [coupon] = await unlessLocked<readonly Record<string, unknown>[]>(live, []);
  if (!coupon) return say("\nno coupon is live: see `./sd psql` and create_coupon()");
  const elsewhere = signedElsewhereBy(env);
  if (elsewhere) return say(`\n${signedElsewhere(elsewhere)}`);
  const base = localUrl(env);
  say(`
try it, as user 42 and coupon ${coupon["code"]}:

  curl -sX POST ${base}/coupons/${coupon["coupon_id"]}/issue -H "authorization: Bearer $(./sd token --user 42)"

  curl -s ${base}/coupons/live

  ./sd psql -c 'select * from issue_coupon(user_id => 43, coupon_id => ${coupon["coupon_id"]})'

  curl -s ${base}/metrics -H "authorization: Bearer $(./sd token --metrics)"

or in a browser: ${base}/ (the shop, and /#operate for operators), ${base}/docs (the API)
`);
}
