import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { isLocal } from "./local.ts";

const from = (remoteAddress: string | undefined, ...rawHeaders: string[]) =>
  isLocal({ socket: { remoteAddress } as Socket, rawHeaders });

for (const address of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
  test(`${address} is local`, () => assert.equal(from(address, "Host", "example.org"), true));

for (const address of [
  "10.0.0.1",
  "128.0.0.1",
  "::ffff:10.0.0.1",
  "::2",
  "127.0.0.1.example.org",
  "1127.0.0.1",
  "",
  undefined,
])
  test(`${address || `"${address}"`} is not`, () => assert.equal(from(address), false));

for (const header of ["Forwarded", "X-Forwarded-For", "via", "X-REAL-IP"])
  test(`not with ${header}`, () => {
    assert.equal(from("127.0.0.1", "Host", "x", header, "127.0.0.1"), false);
    assert.equal(from("::1", header, ""), false);
  });

test("not without a connection", () => assert.equal(isLocal(undefined), false));
