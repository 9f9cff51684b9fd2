/** What the volleys of ./sd bench servers say: of each number of servers, and of 50 of them. */
import { median } from "../harness/stats.ts";
import type { Findings, Headline, Measure } from "../report/result.ts";
import * as measures from "./measures.ts";

export interface ServersOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  servers: readonly number[];
  /** Requests a second, of all servers together. The second rate is also that of the reads. */
  rates: readonly number[];
  /** In the database: few and many. */
  users: readonly number[];
  seconds: number;
}

/** What is asked; nothing at rest. */
export type Load = "start" | "rest" | "few refusals" | "refusals" | "reads";

export interface Contender {
  servers: number;
  users: number;
  load: Load;
}

/** What one volley showed. All but `cpu` is of each server. */
export interface Seen {
  /** CPU time of the servers, µs a request. */
  cpu: number;
  /** CPU time of the database, ms a second. */
  database: number;
  /** Transactions, from before its start to after its end. */
  statements: number;
  /** Of these, the questions for leases, the first one included. */
  leases: number;
  /** Of these, the calls that count who asked. */
  counts: number;
  /** From its being ready to its end, s. */
  lived: number;
  /** From the first refusal to the last answer, s: what leases are asked for in. */
  asked: number;
  connections: number;
}

type Measured = Map<Contender, Seen[]>;

const LEASES = "questions for leases a second, each server";

export function figuresOf(
  measured: Measured,
  options: ServersOptions,
): Pick<Findings, "measures" | "headlines"> {
  const all = [...measured].map(([contender, volleys]) => ({ ...contender, volleys }));
  const table = all
    .filter(({ load }) => load !== "start")
    .map(({ servers, users, load, volleys }): Measure => {
      const start = all.find((one) => one.servers === servers && one.users === users && one.load === "start");
      const atStart = (count: "statements" | "counts") =>
        median((start?.volleys ?? []).map((seen) => seen[count]));
      const [statements, counts] = [atStart("statements"), atStart("counts")];
      return {
        group: groupOf(servers),
        name: nameOf({ users, load }, options),
        figures: measures.figuresOf(volleys, {
          "statements a second, each server": (seen) => (seen.statements - statements) / seen.lived,
          [LEASES]: (seen) => (seen.leases - 1) / seen.asked,
          "calls that count a second, each server": (seen) => (seen.counts - counts) / seen.asked,
          "CPU of the database, ms a second, each server": (seen) => seen.database,
          "CPU of the servers, µs a request": (seen) => seen.cpu,
          "connections, each server": (seen) => seen.connections,
        }),
      };
    });
  return { measures: table, headlines: headlinesOf(table, options) };
}

/** A server asks for a refused coupon's lease each half second at most, and next to never where nobody is refused: what is not so. */
export function wrongLeases(table: readonly Measure[]): string[] {
  const isRight = (name: string, questions: number) =>
    name.startsWith("refusals") ? questions > 0 && questions <= 2 : questions < 0.5;
  return table
    .map(({ group, name, figures }) => ({
      what: `${group}, ${name}`,
      name,
      questions: figures[LEASES]?.[0] ?? Number.NaN,
    }))
    .filter(({ name, questions }) => !isRight(name, questions))
    .map(({ what, questions }) => `${what}: ${questions} questions for leases a second and server`);
}

const groupOf = (servers: number) => `${servers} ${servers === 1 ? "server" : "servers"}`;

function nameOf({ users, load }: Omit<Contender, "servers">, options: ServersOptions): string {
  const [low = 0, high = 0] = options.rates;
  if (load === "rest") return "at rest";
  const rate = `${(load === "few refusals" ? low : high).toLocaleString("en")} a second`;
  if (load === "reads") return `reads of the live coupons, ${rate}`;
  return `refusals, ${rate}${users === options.users[0] ? "" : `, ${users.toLocaleString("en")} users`}`;
}

/** How many servers, and how many people within a minute, the last headlines are about. */
const SERVERS = 50;
const PEOPLE = 10_000_000;

function headlinesOf(table: readonly Measure[], options: ServersOptions): Headline[] {
  const [few = 0, many = 0] = options.users;
  const [least, most] = [Math.min(...options.servers), Math.max(...options.servers)];
  const figure = (name: string, servers: number, load: Load, users = few) => {
    const row = nameOf({ users, load }, options);
    const found = table.find((one) => one.group === groupOf(servers) && one.name === row);
    return Object.entries(found?.figures ?? {}).find(([key]) => key.startsWith(name))?.[1][0] ?? Number.NaN;
  };
  const statements = (servers: number, load: Load, users = few) => figure("statements", servers, load, users);
  const people = PEOPLE.toLocaleString("en");
  return [
    {
      name: "questions for leases a second and server, for a coupon that is sold out",
      value: Math.max(...options.servers.map((n) => figure("questions for leases", n, "refusals"))),
    },
    {
      name: "calls that count who asked, a second and server",
      value: Math.max(...options.servers.map((n) => figure("calls that count", n, "refusals"))),
    },
    {
      name: "statements a second of a server at rest",
      value: statements(most, "rest"),
      isShown: true,
    },
    {
      name: "statements of a server, refusals at the high rate / at the low rate",
      value: statements(most, "refusals") / statements(most, "few refusals"),
    },
    {
      name: "statements of a server, refusals with many users / with few",
      value: statements(most, "refusals", many) / statements(most, "refusals"),
    },
    {
      name: "CPU of the database, refusals with many users / with few",
      value:
        figure("CPU of the database", most, "refusals", many) /
        figure("CPU of the database", most, "refusals"),
    },
    {
      name: `statements of each of ${most} servers / of ${least === 1 ? "one" : `each of ${least}`}, refusals`,
      value: statements(most, "refusals") / statements(least, "refusals"),
    },
    {
      name: `${SERVERS} servers, a coupon sold out: statements a second`,
      value: SERVERS * statements(most, "refusals"),
      isShown: true,
    },
    {
      name: `${SERVERS} servers, a coupon sold out: CPU of the database, of one core`,
      value: (SERVERS * figure("CPU of the database", most, "refusals")) / 10,
      unit: "%",
      isShown: true,
    },
    {
      name: `${SERVERS} servers: connections at most seen`,
      value: SERVERS * Math.max(...options.servers.map((n) => figure("connections", n, "refusals"))),
      isShown: true,
    },
    {
      // Where one serves them all it is busiest, and of all those measured nearest to a server of a drop.
      name: `${people} refusals in a minute: cores for the servers`,
      value: ((PEOPLE / 60) * figure("CPU of the servers", least, "refusals")) / 1e6,
      isShown: true,
    },
  ].filter(({ value }) => Number.isFinite(value));
}
