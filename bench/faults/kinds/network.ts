/** Faults of the network between server and database. */
import type { Fault } from "../fault.ts";
import type { Ground } from "../ground.ts";
import type { Mode } from "../proxy.ts";
import { untilSeen } from "../seen.ts";

export const networks: readonly Fault[] = [
  network("network slow", "every packet between server and database 20 to 300 ms late", ({ random }) => ({
    is: "delay",
    ms: 20 + random() * 280,
  })),
  network("network drips", "a few bytes at a time", ({ random }) => ({
    is: "drip",
    bytes: 8 + Math.floor(random() * 24),
  })),
  network("cut one way", "what the server sends is lost, or what the database answers", ({ random }) => ({
    is: random() < 0.5 ? "deaf" : "mute",
  })),
  network(
    "half-open",
    "nothing arrives and nobody is told; connections that lost something stay dead",
    () => ({ is: "silent" }),
  ),
  {
    name: "resets",
    about: "all connections to the database reset, again and again",
    seen: "there was a connection to reset, each time",
    async strike({ proxy, hold }) {
      for (let i = 0; i < 5; i++) {
        await untilSeen("a connection to reset", () => proxy.reset() > 0);
        await hold(0, 200);
      }
    },
  },
  network(
    "accepts and closes",
    "a proxy without a backend: accepts who comes, and hangs up or resets",
    ({ random, proxy }) => {
      proxy.reset();
      return { is: random() < 0.5 ? "hang up" : "refuse" };
    },
  ),
];

function network(name: string, about: string, modeOf: (ground: Ground) => Mode): Fault {
  return {
    name,
    about,
    seen: "something that is sent, or somebody who connects, meets it",
    async strike(ground) {
      await met(ground.proxy, modeOf(ground));
      await ground.hold(200, 4_000);
      ground.proxy.mode = { is: "pass" };
    },
  };
}

/** Sets the proxy's mode, and waits until something that was sent or somebody who connects has met it. */
export async function met(proxy: Ground["proxy"], mode: Mode): Promise<void> {
  const before = proxy.met;
  proxy.mode = mode;
  await untilSeen(`a connection that is ${mode.is}`, () => proxy.met > before);
}
