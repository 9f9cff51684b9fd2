/** A part of the operators' view: all users, as a file. */
import { attempt, html, onPress, saveAs, tell } from "./elements.js";

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createUsers(frame) {
  const { client, say } = frame;
  const part = html("#users");
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

  return {
    open(signal) {
      opened = signal;
    },
    forget() {
      tell(part, "");
    },
  };
}
