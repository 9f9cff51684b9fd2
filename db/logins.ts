/** The logins of ours: whose passwords they have, how they are opened, and how passwords of before are revoked. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { connect, explained, type Sql } from "./connect.ts";
import { amongOthers, type Keeper, keeperOf, recordOf } from "./roles.ts";
import { LOGINS, type Login, type Target } from "./target.ts";

/** The login that gave ours passwords which are not this target's. */
export interface Giver {
  /** In words, also where nobody knows which it was. */
  name: string;
  /** Whether it can no longer be asked for its password. */
  isLost: boolean;
}

export const NEW_PASSWORDS = "./sd migrate --new-passwords";

/** A login that PostgreSQL did not let in, and why. */
interface Refused {
  login: Login;
  code: string;
  message: string;
}

/** What is the matter with our logins. */
interface State {
  /** They do not take the passwords of this target. */
  closed: Login[];
  /**
   * They are kept out whatever their passwords are: by pg_hba.conf, which may let them in from where the servers run; or since the target
   * has no password, and PostgreSQL asks for one. Set-up can do nothing about it, and does not touch them.
   */
  barred: Refused[];
  /** Who gave them their passwords, if that was another login, or if nobody knows which: servers may use them all the same. */
  keptBy: Giver | undefined;
}

export async function loginsOf(sql: Sql, target: Target): Promise<State> {
  const refused: Refused[] = [];
  for (const login of LOGINS) {
    const refusal = await refusalOf(target, login);
    if (refusal !== undefined) refused.push(refusal);
  }
  const logins = refused.map(({ login }) => login);
  if (logins.length === 0) return { closed: [], barred: [], keptBy: undefined };
  const keeper = await keeperOf(sql);
  // Both are made without the right to log in, and get it with their passwords.
  const given = await sql`select rolname from pg_roles where rolname = any(${logins}) and rolcanlogin`;
  const isOpen = keeper?.isOurs || (!keeper?.isThere && given.length === 0);
  if (!isOpen) return { closed: logins, barred: [], keptBy: giverOf(keeper) };
  const barred = refused.filter(
    ({ login, code }) =>
      given.some(({ rolname }) => rolname === login) && (code !== WRONG_PASSWORD || target.password === ""),
  );
  const closed = logins.filter((login) => barred.every((each) => each.login !== login));
  return { closed, barred, keptBy: undefined };
}

function giverOf(keeper: Keeper | undefined): Giver {
  if (keeper === undefined) return { name: "a login that nobody recorded", isLost: true };
  const name = `login ${keeper.login}`;
  return keeper.isThere ? { name, isLost: false } : { name: `${name}, which is no more,`, isLost: true };
}

/** What openLogins() leaves to others. */
export interface LeftLogins {
  /** In words the login whose passwords coupon_api and coupon_admin have; undefined if they have those of the target. */
  keptBy: string | undefined;
  /** Why coupon_api is kept out from here, whatever its password is. */
  barred?: string;
}

/**
 * Lets coupon_api and coupon_admin log in with the passwords of this target, and ends the sessions of their passwords of before. It
 * changes nothing when they can already, nor where they are kept out whatever their passwords are. Where another login gave them their
 * passwords, or nobody knows which, they keep those unless `anew`: the servers of that one use them.
 */
export async function openLogins(
  sql: Sql,
  target: Target,
  anew: boolean,
  log: (line: string) => void,
): Promise<LeftLogins> {
  const { closed, barred, keptBy } = anew
    ? { closed: [...LOGINS], barred: [], keptBy: undefined }
    : await loginsOf(sql, target);
  if (keptBy !== undefined) {
    log(keptOrAnew(closed, keptBy));
    return leftOf({ barred, keptBy });
  }
  if (closed.length > 0 || !(await keeperOf(sql))?.isRecorded) await givePasswords(sql, target, closed);
  const [now] = await sql`select clock_timestamp()::text as changed_at`;
  for (const login of closed) {
    await endSessions(sql, login, now?.["changed_at"], log);
    const refusal = await refusalOf(target, login);
    if (refusal !== undefined) barred.push(refusal);
  }
  for (const { login, message } of barred) log(`${login} can't log in from here: ${message}`);
  return leftOf({ barred, keptBy });
}

export function leftOf({ barred, keptBy }: Pick<State, "barred" | "keptBy">): LeftLogins {
  const server = barred.find(({ login }) => login === "coupon_api");
  return { keptBy: keptBy?.name, ...(server ? { barred: server.message } : {}) };
}

export const kept = (logins: Login[], { name }: Giver) =>
  logins.length === 1
    ? `${logins[0]} keeps the password that ${name} gave it`
    : `${logins.join(" and ")} keep the passwords that ${name} gave them`;

/** The same, with what helps where nobody has the passwords any more. */
export const keptOrAnew = (logins: Login[], giver: Giver) =>
  kept(logins, giver) + (giver.isLost ? `: ${NEW_PASSWORDS} gives new ones` : "");

/** With the record of whose they are. Without `logins` it is only that: they have this target's passwords, and nobody wrote it down. */
async function givePasswords(sql: Sql, target: Target, logins: Login[]): Promise<void> {
  const expired = await sql`
    select rolname from pg_roles where rolname = any(${logins}) and rolvaliduntil < clock_timestamp()`;
  const record = await recordOf(sql);
  const give = (written: (password: string) => string) => {
    const statements = logins.map((login) => {
      const { password } = target.as(login);
      const until = expired.some(({ rolname }) => rolname === login) ? " valid until 'infinity'" : "";
      // The derived password is hexadecimal, and its verifier base64: nothing to quote.
      return `alter role ${login} login password ${password === "" ? "null" : `'${written(password)}'`}${until}`;
    });
    return amongOthers(() =>
      sql.begin(async (all) => {
        for (const statement of [...statements, record]) await all.unsafe(statement);
      }),
    );
  };
  await give(verifierOf)
    .catch((error: { code?: string }) => {
      // A provider's PostgreSQL may take passwords alone, to look at them.
      if (error.code !== "XX000") throw error;
      return give((password) => password);
    })
    .catch((error: { code?: string }) => {
      if (error.code !== "42501") throw error;
      if (logins.length > 0)
        throw new Error(
          `${target.login} may not give ${logins.join(" and ")} a password: as superuser run ` +
            `"alter role ${target.login} createrole; grant coupon_owner, ${LOGINS.join(", ")} to ${target.login} with admin option"`,
        );
    });
}

const ITERATIONS = 4_096;

/**
 * What PostgreSQL keeps of a password, by which nobody can log in (SCRAM-SHA-256, RFC 5803 and 7677), made here as psql's \password does:
 * the statement stands in PostgreSQL's log and in pg_stat_statements, for more people than may have the password. It opens the login
 * whatever password_encryption is.
 */
function verifierOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, "sha256");
  const keyOf = (name: string) => createHmac("sha256", salted).update(name).digest();
  const stored = createHash("sha256").update(keyOf("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${stored}:${keyOf("Server Key").toString("base64")}`;
}

/** Ends the sessions that began before the password was changed, on all databases: they were opened with one of before. */
async function endSessions(
  sql: Sql,
  login: Login,
  changedAt: string,
  log: (line: string) => void,
): Promise<void> {
  // When a session began PostgreSQL tells to those alone who may end it.
  const pids = await sql`
    select a.pid from pg_stat_activity a
    where a.usename = ${login} and (a.backend_start < ${changedAt}::timestamptz or a.backend_start is null)
  `;
  let left = 0;
  for (const { pid } of pids) {
    const [ended] = await sql`select pg_terminate_backend(${pid}::integer, 5000) as is_over`.catch(
      (error: { code?: string }) => {
        if (error.code !== "42501") throw error;
        return [{ is_over: false }];
      },
    );
    if (!ended?.["is_over"]) left += 1;
  }
  const told = (n: number) => (n === 1 ? "1 session" : `${n} sessions`);
  if (left > 0)
    log(
      `${login}: a new password, but of the old one ${told(left)} may go on: as superuser run ` +
        `"select pg_terminate_backend(pid) from pg_stat_activity where usename = '${login}'"`,
    );
  else if (pids.length > 0) log(`${login}: a new password, and ${told(pids.length)} of the old one ended`);
}

const WRONG_PASSWORD = "28P01";

/**
 * The functions of PostgreSQL (15 to 18) that turn a login away after it has proved its password: it may not connect to this database, or
 * has as many connections as it may have, which its servers can take all.
 */
const AFTER_PASSWORD = ["InitializeSessionUserId", "CheckMyDatabase", "InitPostgres"];

/** Undefined if the password of the target is its own, also where it cannot connect for another reason at the moment. */
async function refusalOf(target: Target, login: Login): Promise<Refused | undefined> {
  const as = target.as(login);
  for (let attempt = 1; ; attempt++) {
    const sql = connect(as, { fetchTypes: false });
    try {
      await sql`select 1`;
      return undefined;
    } catch (error) {
      const {
        code = "",
        routine = "",
        message,
      } = error as { code?: string; routine?: string; message: string };
      if (["42501", "53300"].includes(code) && AFTER_PASSWORD.includes(routine)) return undefined;
      // Class 28: no such login, another password, or kept out by pg_hba.conf.
      if (code.startsWith("28")) return { login, code, message };
      // Another database's set-up has just given it the same password, and ended what was open.
      if (attempt === 3 || !["57P01", "CONNECTION_CLOSED", "ECONNRESET"].includes(code))
        throw explained(error, as);
    } finally {
      await sql.end({ timeout: 1 });
    }
  }
}
