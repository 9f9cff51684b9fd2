/** A part of the operators' view: all users, as a file, and a person who is to be forgotten. */
import { attempt, find, html, onPress, onSubmit, orNothing, saveAs, tell } from "./elements.js";
import { FORGOTTEN } from "./words.js";

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createUsers(frame) {
  const { client, say } = frame;
  const part = html("#users");
  const form = find("form", HTMLFormElement, part);
  let opened = AbortSignal.abort();
  onPress(html(".all", part), () => {
    const signal = opened;
    const save = async () => {
      saveAs(await client.listUsers({}, { signal }), "users.csv");
      tell(part, "The list is saved.");
      say("The list is saved.");
    };
    return attempt(frame, part, save, signal);
  });
  onSubmit(form, async (given) => {
    const signal = opened;
    const user_id = Number(given("user_id"));
    if (Number(given("again")) !== user_id)
      return [{ member: "again", detail: "This is another number. Nobody is forgotten." }];
    return attempt(
      frame,
      form,
      async () => {
        const why = orNothing({ reason: given("reason") });
        const { outcome } = await client.forgetUser({ user_id, ...why }, { signal });
        const [text, member] = FORGOTTEN[outcome];
        tell(form, member ? "" : `User ${user_id} ${text}`);
        if (member) return [{ member, detail: text }];
        say(`User ${user_id} ${text}`);
        form.reset();
        return [];
      },
      signal,
    );
  });

  return {
    open(signal) {
      opened = signal;
    },
    forget() {
      form.reset();
      tell(form, "");
      tell(part, "");
    },
  };
}
