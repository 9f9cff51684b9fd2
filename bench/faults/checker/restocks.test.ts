/** Counts that were told and counts that are there, each broken by hand. */
import * as checks from "./restocks.ts";
import { changed, counting, restock, testCases, world } from "./world.ts";

testCases(checks, [
  [["restock_is_kept"], "an acknowledged restock is gone", world([[restock(5), changed]], [])],
  [
    ["restock_is_kept"],
    "the second of two restocks is gone",
    world(
      [
        [restock(5), changed],
        [restock(7), changed],
      ],
      [],
      counting(5),
    ),
  ],
  [["restock_is_kept"], "a count that nobody asked for", world([], [], counting(5))],
]);
