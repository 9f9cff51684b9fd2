import assert from "node:assert/strict";
import { test } from "node:test";
import { adviceFor, isNoSession, NO_HOST, reasonOf } from "./errors.ts";

const to = { host: "db:5432", login: "shop", database: "coupons" };
const CODES = [
  ...["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "CONNECT_TIMEOUT", "ENOENT"],
  ...["EACCES", "28000", "28P01", "3D000", "53300", "57P03", "HUNG_UP", "NO_POSTGRESQL", "NO_TLS", NO_HOST],
];

for (const code of CODES)
  test(`${code}: no session began; one sentence names no place, the other says what to do there`, () => {
    assert.ok(isNoSession(code));
    const reason = reasonOf(code);
    assert.match(reason ?? "", /^[A-Z].*[^.]\.$/);
    assert.doesNotMatch(reason ?? "", /db|5432|shop|coupons/);
    // Of several hosts each says its own.
    if (code !== NO_HOST) assert.match(adviceFor(code, "said", to) ?? "", /db:5432/);
  });

for (const [code, reason, advice] of [
  [
    "CERT_HAS_EXPIRED",
    "The database's certificate is not what its URL asks for.",
    "the certificate of db:5432 is not what sslmode and sslrootcert ask for: said",
  ],
  ["ECONNRESET", undefined, "db:5432 closed the connection: see its log"],
  [
    "ENOTFOUND",
    "Nothing answers at the database's address.",
    "there is no host db:5432: correct DATABASE_URL",
  ],
  [
    "ETIMEDOUT",
    "Nothing answers at the database's address.",
    "no PostgreSQL answers at db:5432 (ETIMEDOUT): start it, or correct DATABASE_URL",
  ],
  ["42501", "The login may not connect to this database.", undefined],
  ["42883", undefined, undefined],
  ["55000", "The database takes no connections.", undefined],
  [
    "08P01",
    "A pooler refuses the connection: the log says why.",
    'db:5432 answers "said", as a pooler does: commands of ./sd need PostgreSQL itself in DATABASE_URL',
  ],
] as const)
  test(`${code}: in a session, or not of PostgreSQL`, () => {
    assert.ok(!isNoSession(code) || code === "ENOTFOUND");
    assert.deepEqual([reasonOf(code), adviceFor(code, "said", to)], [reason, advice]);
  });

test("53300: whose limit it is, PostgreSQL says", () => {
  const said = 'too many connections for role "shop"';
  assert.equal(
    adviceFor("53300", said, to),
    `db:5432 has no connection left for shop: ${said}. End one, or raise that limit`,
  );
});
