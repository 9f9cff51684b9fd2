/** A part of the operators' view: all users, as a file. */
import { html, onPress, saveAs, tell } from "./elements.js";

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createUsers({ client, say, failed }) {
  const part = html("#users");
  let opened = AbortSignal.abort();
  onPress(html(".all", part), async () => {
    const signal = opened;
    try {
      saveAs(await client.listUsers({}, { signal }), "users.csv");
      tell(part, "The list is saved.");
      say("The list is saved.");
    } catch (error) {
      if (!signal.aborted) tell(part, failed(error), "bad");
    }
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
