import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { jwtVerify, SignJWT } from "jose";
import { hmacKey } from "./hs256.ts";

const secret = "a secret of the tests, long enough for HS256";
const bytes = new TextEncoder().encode(secret);
const key = hmacKey(secret);
const claims = { sub: "42", role: "user", name: "Zoë 🎟" };
const token = key.sign(claims);

/** The claims of a token that is the key's. */
function verified(token: string, by = key): unknown {
  const [header = "", claims = "", ...signature] = token.split(".");
  return by.check(`${header}.${claims}`, signature.join("."))
    ? JSON.parse(Buffer.from(claims, "base64url").toString())
    : null;
}

test("what we sign, jose accepts; what jose signs, we accept", async () => {
  assert.deepEqual((await jwtVerify(token, bytes, { algorithms: ["HS256"] })).payload, claims);
  for (const header of [
    { alg: "HS256" },
    { alg: "HS256", kid: "1", typ: "at+jwt" },
    { typ: "JWT", alg: "HS256" },
  ])
    assert.deepEqual(
      verified(await new SignJWT(claims).setProtectedHeader(header).sign(bytes)),
      claims,
      JSON.stringify(header),
    );
});

test("an unchanged token only: any other character anywhere, and it is nobody's", () => {
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.constantFrom(..."Az09-_"), (at, character) => {
      fc.pre(token[at] !== character);
      assert.equal(verified(token.slice(0, at) + character + token.slice(at + 1)), null);
    }),
    { numRuns: 2_000 },
  );
});

test("one spelling of a signature", () => {
  // The last of 43 characters carries two bits that mean nothing.
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(token.at(-1) ?? "");
  const twin = token.slice(0, -1) + alphabet[last ^ 1];
  const bytesOf = (text: string) => Buffer.from(text.split(".")[2] ?? "", "base64url").toString("hex");
  assert.equal(bytesOf(twin), bytesOf(token));
  for (const spelled of [twin, `${token}=`, `${token}.`, ` ${token}`, token.replace(/\.([^.]*)$/, ".$1 ")])
    assert.equal(verified(spelled), null, spelled);
});

test("HMAC by two hashes is Node's, for any key and claims", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", minLength: 1, maxLength: 200 }),
      fc.string({ unit: "binary", maxLength: 500 }),
      (secret, text) => {
        const token = hmacKey(secret).sign({ text });
        const [signed, signature] = [token.slice(0, -44), token.slice(-43)];
        assert.equal(signature, createHmac("sha256", secret).update(signed).digest("base64url"));
        assert.deepEqual(verified(token, hmacKey(secret)), { text });
        assert.equal(verified(token, hmacKey(`${secret}!`)), null);
      },
    ),
  );
});

test("too long to sign", () => {
  assert.throws(() => key.sign({ text: "x".repeat(16_384) }), /at most 16384/);
  assert.equal(verified(`${"x".repeat(17_000)}.${token.slice(token.indexOf(".") + 1)}`), null);
});
