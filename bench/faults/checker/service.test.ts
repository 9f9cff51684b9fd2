/** A service that does not outlive its faults. */
import * as checks from "./service.ts";
import { testCases, world } from "./world.ts";

testCases(checks, [
  [
    ["live_again"],
    "not well in time",
    world([], [], ({ strokes }) => {
      strokes.push({ from: 0, until: 1, wellAt: Number.POSITIVE_INFINITY, isServers: false });
    }),
  ],
  [
    ["memory_is_flat"],
    "memory grows",
    world([], [], ({ memory }) => {
      memory.push(100, 130, 165);
    }),
  ],
  [
    ["server_survives"],
    "a server ended",
    world([], [], ({ deaths }) => {
      deaths.push("exit 1");
    }),
  ],
  [
    ["reconcile_is_empty"],
    "reconcile() found something",
    world([], [], (_, { broken }) => {
      broken.push("issued_equals_grants");
    }),
  ],
]);
