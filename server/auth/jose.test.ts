/** What is a token of ours is what jose takes: each algorithm on a corpus of good and bad tokens, and on tokens with any change. */
import assert from "node:assert/strict";
import { createHmac, createSecretKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { jwtVerify } from "jose";
import { readEnv } from "../env.ts";
import { createAuthenticate } from "./auth.ts";

const secret = "a secret of the tests, long enough for HS256";
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const odd = generateKeyPairSync("rsa", { modulusLength: 2056 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");
const others = {
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ec: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ed: generateKeyPairSync("ed25519"),
};

interface Kind {
  alg: string;
  key: KeyObject;
  env: ReturnType<typeof readEnv>;
  algorithms: string[];
  sign(text: string): Buffer;
  byAnother(text: string): Buffer;
}

const PSS = { padding: 6, saltLength: 32 };
function byPublicKey(
  alg: string,
  pair: typeof rsa,
  other: KeyObject,
  digest: string | null,
  options = {},
): Kind {
  const pem = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
  const by = (key: KeyObject) => (text: string) => sign(digest, Buffer.from(text), { key, ...options });
  const algorithms =
    alg === "ES256" ? [alg] : alg.startsWith("Ed") ? ["EdDSA", "Ed25519"] : ["RS256", "PS256"];
  const env = readEnv({ JWT_PUBLIC_KEY: pem });
  return { alg, key: pair.publicKey, env, algorithms, sign: by(pair.privateKey), byAnother: by(other) };
}
const hmac = (key: string) => (text: string) => createHmac("sha256", key).update(text).digest();
const kinds: Record<string, Kind> = {
  HS256: {
    alg: "HS256",
    key: createSecretKey(Buffer.from(secret)),
    env: readEnv({ JWT_SECRET: secret }),
    algorithms: ["HS256"],
    sign: hmac(secret),
    byAnother: hmac(`${secret}!`),
  },
  RS256: byPublicKey("RS256", rsa, others.rsa.privateKey, "sha256"),
  "RS256 with 2056 bits": byPublicKey("RS256", odd, others.rsa.privateKey, "sha256"),
  PS256: byPublicKey("PS256", rsa, others.rsa.privateKey, "sha256", PSS),
  ES256: byPublicKey("ES256", ec, others.ec.privateKey, "sha256", { dsaEncoding: "ieee-p1363" }),
  EdDSA: byPublicKey("EdDSA", ed, others.ed.privateKey, null),
  Ed25519: byPublicKey("Ed25519", ed, others.ed.privateKey, null),
};

const now = Math.floor(Date.now() / 1000);
const good = { sub: "42", role: "user", iss: "coupon-drop", aud: "coupon-drop", exp: now + 3_600 };
const ofGood = { role: "user", user_id: 42, subject: "42" };
const base64url = (bytes: string | Buffer) => Buffer.from(bytes).toString("base64url");

/** Whether jose takes it, with the claims that we need. */
async function byJose({ key, algorithms, env }: Kind, token: string): Promise<boolean> {
  try {
    await jwtVerify(token, key, {
      algorithms,
      issuer: env.JWT_ISSUER,
      audience: env.JWT_AUDIENCE,
      requiredClaims: ["exp", "sub", "aud", "iss", "role"],
    });
    return true;
  } catch {
    return false;
  }
}

/** Headers as text, with ALG where the algorithm stands. */
const headers = [
  '{"alg":"ALG"}',
  '{"typ":"JWT","alg":"ALG","kid":"a"}',
  ' {"alg" : "ALG" , "cty":"JWT"} ',
  '\ufeff{"alg":"ALG"}',
  '{"alg":"none"}',
  '{"alg":"NONE"}',
  '{"alg":""}',
  "{}",
  "[]",
  "null",
  '"ALG"',
  "",
  "{",
  '{"alg":["ALG"]}',
  '{"alg":null}',
  '{"alg":"alg"}',
  '{"alg":"HS256","alg":"ALG"}',
  '{"alg":"ALG","alg":"HS384"}',
  '{"alg":"RS512"}',
  '{"alg":"ES384"}',
  '{"alg":"Ed25519"}',
  '{"alg":"__proto__"}',
  '{"__proto__":{"alg":"ALG"}}',
  '{"alg":"ALG","typ":7}',
  '{"alg":"ALG","b64":false}',
  '{"alg":"ALG","b64":true}',
  '{"alg":"ALG","b64":true,"crit":["b64"]}',
  '{"alg":"ALG","b64":true,"crit":["b64","b64"]}',
  '{"alg":"ALG","b64":false,"crit":["b64"]}',
  '{"alg":"ALG","b64":"true","crit":["b64"]}',
  '{"alg":"ALG","crit":["b64"]}',
  '{"alg":"ALG","crit":[]}',
  '{"alg":"ALG","crit":null}',
  '{"alg":"ALG","crit":"b64","b64":true}',
  '{"alg":"ALG","crit":["exp"],"exp":1}',
  '{"alg":"ALG","crit":["x"],"x":1}',
  '{"alg":"ALG","crit":[""],"":1}',
  '{"alg":"ALG","crit":[["b64"]],"b64":true}',
  '{"alg":"ALG","zip":"DEF"}',
  '{"alg":"ALG","kid":1}',
  '{"alg":"ALG","name":"Zoë"}',
];

const text = JSON.stringify(good);
const claims: (string | Buffer)[] = [
  text,
  ` ${text}\n`,
  `\ufeff${text}`,
  Buffer.concat([Buffer.from(text.replace("}", ',"name":"')), Buffer.from([0xff]), Buffer.from('"}')]),
  Buffer.from(text, "utf16le"),
  `[${text}]`,
  "null",
  "",
  `${text}x`,
  ...Object.keys(good).map((name) => JSON.stringify({ ...good, [name]: undefined })),
  ...[
    { aud: ["somebody", "coupon-drop"] },
    { aud: ["somebody"] },
    { aud: [] },
    { aud: { 0: "coupon-drop" } },
    { aud: [["coupon-drop"]] },
    { iss: ["coupon-drop"] },
    { iss: "coupon-drop " },
    { exp: now - 1 },
    { exp: `${now + 60}` },
    { exp: null },
    { exp: now + 0.5 - 100 },
    { exp: 1e300 },
    { nbf: now - 1 },
    { nbf: now + 3_000 },
    { nbf: -1 },
    { nbf: "0" },
    { nbf: null },
    { iat: now + 3_000 },
    { iat: "0" },
    { iat: null },
    { jti: null, scope: ["a"] },
  ].map((change) => JSON.stringify({ ...good, ...change })),
];

for (const [name, kind] of Object.entries(kinds)) {
  const authenticate = createAuthenticate(kind.env);
  const tokenOf = (header: string | Buffer, payload: string | Buffer, by = kind.sign) => {
    const message = `${base64url(header)}.${base64url(payload)}`;
    return `${message}.${base64url(by(message))}`;
  };
  const head = `{"alg":"${kind.alg}"}`;
  const token = tokenOf(head, text);
  const [h = "", c = "", s = ""] = token.split(".");
  const signature = Buffer.from(s, "base64url");

  /** Asks three times: what is answered the first time and when it is known. */
  async function alike(given: string, what: string): Promise<boolean> {
    const isOurs = await byJose(kind, given);
    for (let i = 0; i < 3; i++)
      assert.deepEqual(await (await authenticate)(given), isOurs ? ofGood : null, what);
    return isOurs;
  }

  test(`${name}: headers as jose reads them`, async () => {
    let taken = 0;
    for (const header of headers)
      if (await alike(tokenOf(header.replaceAll("ALG", kind.alg), text), header)) taken += 1;
    for (const bytes of [Buffer.from([0xff]), Buffer.from('{"alg":"\xff"}', "latin1")])
      await alike(tokenOf(bytes, text), "a header that is no UTF-8");
    assert.ok(taken >= 10, `${taken}`);
  });

  test(`${name}: claims as jose reads them`, async () => {
    let taken = 0;
    for (const payload of claims) if (await alike(tokenOf(head, payload), String(payload))) taken += 1;
    assert.equal(taken, 9);
  });

  test(`${name}: signatures as jose reads them`, async () => {
    assert.ok(await alike(token, "good"));
    const flipped = Buffer.from(signature);
    flipped[0] = (flipped[0] as number) ^ 1;
    const wrong: Record<string, Buffer> = {
      empty: Buffer.alloc(0),
      flipped,
      "zero bytes": Buffer.alloc(signature.length),
      "all ones": Buffer.alloc(signature.length, 0xff),
      "shorter at the end": signature.subarray(0, -1),
      longer: Buffer.concat([signature, Buffer.alloc(1)]),
      "longer at the front": Buffer.concat([Buffer.alloc(1), signature]),
      "another's": kind.byAnother(`${h}.${c}`),
      "of another message": kind.sign(`${h}.${c}.`),
      DER: sign("sha256", Buffer.from(`${h}.${c}`), ec.privateKey),
    };
    for (const [what, bytes] of Object.entries(wrong))
      assert.equal(await alike(`${h}.${c}.${base64url(bytes)}`, what), false, what);
    for (const other of Object.values(kinds)) {
      const message = `${base64url(`{"alg":"${other.alg}"}`)}.${c}`;
      await alike(`${message}.${base64url(other.sign(message))}`, `${other.alg}, of its own key`);
      await alike(`${h}.${c}.${base64url(other.sign(`${h}.${c}`))}`, `signed by ${other.alg}`);
    }
    const pem = kind.key.type === "public" ? kind.key.export({ type: "spki", format: "pem" }) : "";
    const confused = `${base64url('{"alg":"HS256"}')}.${c}`;
    await alike(`${confused}.${base64url(hmac(pem.toString())(confused))}`, "the PEM as a secret");
  });

  test(`${name}: parts that are no base64url, and other numbers of parts`, async () => {
    for (const given of [
      `${h}.${c}`,
      `.${c}.${s}`,
      `${h}..${s}`,
      `${token}.`,
      `${token}.${s}`,
      "",
      ".",
      "..",
      "a.b.c",
    ])
      assert.equal(await alike(given, given), false);
    // One character more than bytes can have, in each part, signed as it is written.
    for (const [header, payload] of [
      [`${h}${"A".repeat(5 - (h.length % 4))}`, c],
      [h, `${c}${"A".repeat((5 - (c.length % 4)) % 4)}`],
    ]) {
      const message = `${header}.${payload}`;
      assert.equal(await alike(`${message}.${base64url(kind.sign(message))}`, message), false);
    }
  });

  test(`${name}: any other character anywhere, and it is nobody's`, async () => {
    const check = await authenticate;
    assert.deepEqual(await check(token), ofGood);
    await fc.assert(
      // The last character of a signature has bits that mean nothing; by HMAC it has one spelling all the same.
      fc.asyncProperty(
        fc.nat(token.length - (kind.alg === "HS256" ? 1 : 2)),
        fc.constantFrom(..."Az09-_.=+/ é\u0141"),
        async (at, character) => {
          fc.pre(token[at] !== character);
          assert.equal(await check(token.slice(0, at) + character + token.slice(at + 1)), null);
        },
      ),
      { numRuns: 500 },
    );
  });
}

test("PS256: a signature without its leading zero is nobody's (RFC 8017, 8.1.2), though jose takes it", async () => {
  const kind = kinds["PS256"] as Kind;
  const message = `${base64url('{"alg":"PS256"}')}.${base64url(text)}`;
  let signature = kind.sign(message);
  while (signature[0] !== 0) signature = kind.sign(message); // its salt is random: one in 256
  const check = await createAuthenticate(kind.env);
  assert.deepEqual(await check(`${message}.${base64url(signature)}`), ofGood);
  const shorter = `${message}.${base64url(signature.subarray(1))}`;
  assert.equal(await byJose(kind, shorter), true);
  assert.equal(await check(shorter), null);
});
