/** A part of the operators' view: groups, and who is in them. The group of a coupon is set where the coupon is corrected. */
import { attempt, find, html, onSubmit, orNothing, saveAs, showRows, tell } from "./elements.js";
import { becameOf } from "./group-words.js";
import { createList } from "./list.js";
import { amount } from "./words.js";

/** @typedef {import("../api/contract-types.ts").AnswerOf<"listGroups">["groups"][number]} Group */

/** Groups of a page. */
const ROWS = 20;

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createGroups(frame) {
  const { client, say } = frame;
  const part = html("#groups");
  const form = find("form", HTMLFormElement, part);
  const table = find("table", HTMLTableElement, part);
  let opened = AbortSignal.abort();
  /** @type {ReturnType<typeof createList<Group>>} */
  const list = createList(frame, part, part, (groups) => showRows(table, groups.map(cellsOf)));
  const read = () =>
    list.read(async (after, signal) => {
      const page = await client.listGroups({ page_size: ROWS, ...(after && { after }) }, { signal });
      return { rows: page.groups, next_before: page.next_after };
    }, opened);
  /** @param {string} text */
  const told = (text) => {
    tell(part, text);
    say(text);
  };

  onSubmit(form, async (given) => {
    const signal = opened;
    const group_name = given("group_name");
    if (given("how") === "list") {
      const save = async () => {
        saveAs(await client.listGroup({ group_name }, { signal }), `${group_name}.csv`);
        told("The list is saved.");
      };
      return attempt(frame, part, save, signal);
    }
    const user_ids = numbersOf(given("user_ids"));
    if (user_ids === undefined) return [{ member: "user_ids", detail: "Give numbers of users." }];
    const change = async () => {
      const request = { group_name, user_ids, ...orNothing({ reason: given("reason") }) };
      const { users } =
        given("how") === "add"
          ? await client.addToGroup(request, { signal })
          : await client.removeFromGroup(request, { signal });
      await read();
      told(`${group_name}: ${becameOf(users)}`);
    };
    const wrong = await attempt(frame, part, change, signal);
    // Which of the numbers it is, the sentence says.
    return wrong.map(({ member, detail }) => ({ member: member.replace(/\..*/, ""), detail }));
  });

  return {
    open(signal) {
      opened = signal;
      void read();
    },
    forget() {
      form.reset();
      list.forget();
    },
  };
}

/**
 * Each number once; undefined if there is none, or something else.
 * @param {string} text
 */
function numbersOf(text) {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  const numbers = [...new Set(words.map(Number))];
  return numbers.length > 0 && numbers.every(Number.isSafeInteger) ? numbers : undefined;
}

/** @param {Group} group */
function cellsOf({ group_name, member_count, coupon_count }) {
  return [group_name, amount(member_count), amount(coupon_count)];
}
