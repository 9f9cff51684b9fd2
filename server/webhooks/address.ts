/** To which addresses webhooks are sent: those of the internet, so that nobody has this server call services beside it (SSRF). */
import type { LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import type { Resolve } from "./resolve.ts";

/** Of IPv6 only these are given out. ipaddr.js (2.5.0) takes the old form of an IPv4 address, ::7f00:1 of 127.0.0.1, for one of them. */
const GLOBAL = ipaddr.parseCIDR("2000::/3") as [ipaddr.IPv6, number];

/** In a network without IPv4 the hosts of IPv4 are here, and the last four bytes are their address (RFC 6052). Elsewhere they may stand elsewhere (RFC 8215). */
const TRANSLATED = ipaddr.parseCIDR("64:ff9b::/96") as [ipaddr.IPv6, number];

/** Whether an address, as text, is one of the internet: no loopback, link-local, private, shared or multicast one, nor one that is translated to one of these. */
export function isPublic(text: string): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.process(text);
  if (address.kind() === "ipv4") return address.range() === "unicast";
  if (address.match(TRANSLATED)) return isPublic(address.toByteArray().slice(-4).join("."));
  return address.range() === "unicast" && address.match(GLOBAL);
}

/**
 * For connections: resolves a name and, unless it is allowed, refuses it when any of its addresses is not public. The connection is made to
 * these very addresses, so a name that resolves to another one a moment later changes nothing.
 */
export function createLookup(resolve: Resolve, allowPrivate: boolean): LookupFunction {
  return (name, { all }, then) =>
    void resolve(name).then(
      (addresses) => {
        const [first] = addresses;
        const other = allowPrivate ? undefined : addresses.find(({ address }) => !isPublic(address));
        if (first === undefined) then(new Error(`${name} has no address`), []);
        else if (other) then(new Error(notPublic(name, other.address)), []);
        else if (all) then(null, addresses);
        else then(null, first.address, first.family);
      },
      (error) => then(error, []),
    );
}

export const notPublic = (name: string, address: string) =>
  name === address
    ? `${address} is not a public address`
    : `${name} is at ${address}, which is not a public address`;
