/** What was done though its clients were told that it was not. */
import * as checks from "./undone.ts";
import {
  again,
  counting,
  issue,
  issued,
  overloaded,
  refused,
  restock,
  testCases,
  use,
  world,
} from "./world.ts";

testCases(checks, [
  [
    ["undone_stays_undone"],
    "restocked, though told that not",
    world([[restock(5), overloaded]], [], counting(5)),
  ],
  [
    ["undone_stays_undone", "refusal_is_true"],
    "restocked, though refused",
    world([[restock(5), refused("below_issued")]], [], counting(5)),
  ],
  [["undone_stays_undone"], "done, though told that not", world([[issue(1), overloaded]], [{}])],
  [
    ["undone_stays_undone"],
    "the first attempt was told that nothing was done, the second that it was",
    world(
      [
        [issue(1), overloaded],
        [issue(1), again(1), { request: 0 }],
      ],
      [{}],
    ),
  ],
  [
    ["undone_stays_undone", "refusal_is_true"],
    "granted after a refusal, without another request",
    world([[issue(1), refused("sold_out")]], [{}]),
  ],
  [
    ["undone_stays_undone"],
    "used, though told that not",
    world(
      [
        [issue(1), issued(1)],
        [use(1), overloaded],
      ],
      [{ use_reference: "r" }],
    ),
  ],
]);
