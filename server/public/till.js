/** The view for tills: a code is scanned or typed and used, once, and what is given to whom is seen in one glance. */
import { codeIn } from "./claim-code.js";
import { attempt, find, html, kept, mark, onSubmit, put, tell, wordsOf } from "./elements.js";
import { CLAIM_UNDONE, CLAIM_USED } from "./till-words.js";
import { newReference } from "./wallet.js";
import { amount } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("./elements.js").View} View */
/** @typedef {Partial<import("../api/contract-types.ts").AnswerOf<"useClaim">>} Told What is known of a code. */

/** Between two looks at what the camera sees, ms. */
const LOOK_MS = 150;

/**
 * @param {Frame} frame
 * @returns {View}
 */
export function createTill(frame) {
  const { client, say, failed } = frame;
  const form = find("#scan", HTMLFormElement);
  const input = find("#claim-code", HTMLInputElement);
  const given = html("#given");
  const back = find("#take-back", HTMLFormElement);
  const camera = createCamera((text) => void use(text));
  const show = createShow(say);
  let isBusy = false;
  /** The code that is shown, and can be taken back. */
  let shown = "";
  /** @type {string | undefined} When it was used. */
  let usedAt;

  onScanned(form, input, (text) => void use(text));

  onSubmit(back, async (field) => {
    const scanned = codeIn(field("reason"));
    // A scanner types wherever the focus is: then it is the next code that is to be used, and no reason.
    if (scanned !== undefined) {
      back.reset();
      return use(scanned).then(() => []);
    }
    isBusy = true;
    tell(given, "Asking …", "wait");
    say("Asking …");
    const wrong = await attempt(frame, given, () => takeBack(field("reason")));
    isBusy = false;
    return wrong;
  });

  /** @param {string} reason */
  async function takeBack(reason) {
    // That use: after a lost answer the same again takes back no later one.
    const result = await client.undoClaim({ claim_code: shown, used_date: usedAt, reason });
    show(result, CLAIM_UNDONE[result.outcome], result.outcome === "restored" ? "wait" : "bad");
    back.reset();
    input.focus();
  }

  /** @param {string} text */
  async function use(text) {
    // A scanner types over what is selected.
    if (isBusy) return input.select();
    const code = codeIn(text);
    if (code === undefined) {
      show({}, "That is no code of ours, or it was misread. Try again.", "bad");
      return input.select();
    }
    isBusy = true;
    shown = code;
    input.value = "";
    show({}, "Asking …", "wait");
    // Kept until there is an answer: whatever becomes of the line or of this tab, it is the same use.
    const key = `reference of ${code}`;
    const reference = kept.getItem(key) ?? newReference("till");
    kept.setItem(key, reference);
    try {
      const result = await client.useClaim({ claim_code: code, reference });
      kept.removeItem(key);
      show(result, wordsOf(CLAIM_USED, result, result), result.outcome === "used" ? "good" : "bad");
      usedAt = "used_date" in result ? result.used_date : undefined;
      back.hidden = result.outcome !== "used" && result.outcome !== "already_used";
      if (input.value === "") input.focus();
    } catch (error) {
      const text = failed(error);
      if (text !== "") {
        show({}, text, "bad");
        if (input.value === "") input.value = code;
        input.focus();
        input.select();
      }
    }
    isBusy = false;
  }

  return {
    open(signal) {
      camera.offer(signal);
      input.focus();
      // On a button, or on nothing, what a scanner types would be lost.
      document.addEventListener("keydown", (event) => isTyped(event) && input.focus(), { signal });
    },
    forget() {
      given.hidden = true;
      back.hidden = true;
      back.reset();
      form.reset();
    },
  };
}

/**
 * What shows in one glance what became of a code.
 * @param {Frame["say"]} say
 * @returns {(told: Told, text: string, mood: "good" | "bad" | "wait") => void}
 */
function createShow(say) {
  const given = html("#given");
  return ({ message = "", display_name = "", code, position }, text, mood) => {
    given.hidden = false;
    html("#take-back").hidden = true;
    mark(given, { "data-mood": mood });
    tell(given, text, mood);
    put(html(".what", given), message);
    put(html(".whom", given), display_name);
    put(html(".facts", given), code === undefined ? "" : `${code} · number ${amount(position ?? 0)}`);
    say([text, message, display_name].filter(Boolean).join(" "));
  };
}

/**
 * What is typed or scanned ends with Enter; some scanners end a code with a tab.
 * @param {HTMLFormElement} form
 * @param {HTMLInputElement} input
 * @param {(text: string) => void} use
 */
function onScanned(form, input, use) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim() !== "") use(input.value);
  });
  input.addEventListener("keydown", ({ key, shiftKey }) => {
    if (key === "Tab" && !shiftKey && codeIn(input.value) !== undefined) use(input.value);
  });
}

/**
 * Whether a character of a code is typed where nothing takes it.
 * @param {KeyboardEvent} event
 */
function isTyped({ key, ctrlKey, altKey, metaKey, target }) {
  return (
    /^[\dA-Za-z-]$/.test(key) && !ctrlKey && !altKey && !metaKey && !(target instanceof HTMLInputElement)
  );
}

/**
 * The camera, where the browser can find a code in what it sees: it looks until it has found one.
 * @param {(text: string) => void} found
 */
function createCamera(found) {
  const video = find("#camera", HTMLVideoElement);
  const button = find("#use-camera", HTMLButtonElement);
  /** @type {{ new (how: { formats: string[] }): { detect: (seen: HTMLVideoElement) => Promise<{ rawValue: string }[]> } } | undefined} */
  const Detector = /** @type {any} */ (globalThis).BarcodeDetector;
  let looking = new AbortController();

  button.addEventListener("click", () => {
    if (!looking.signal.aborted) return looking.abort();
    looking = new AbortController();
    look(looking.signal).catch((error) => {
      looking.abort();
      put(html("#camera-told"), `The camera cannot be used: ${error.message}`);
    });
  });
  looking.abort();

  /** @param {AbortSignal} signal */
  async function look(signal) {
    put(html("#camera-told"), "");
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    const stop = () => {
      for (const track of stream.getTracks()) track.stop();
      video.hidden = true;
      put(button, "Camera");
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    video.srcObject = stream;
    video.hidden = false;
    put(button, "Stop the camera");
    await video.play();
    const detector = Detector && new Detector({ formats: ["qr_code"] });
    while (!signal.aborted) {
      const [code] = (await detector?.detect(video)) ?? [];
      if (signal.aborted) return;
      if (code !== undefined) {
        looking.abort();
        return found(code.rawValue);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  return {
    /** @param {AbortSignal} signal The view is shown until then. */
    offer(signal) {
      button.hidden = Detector === undefined || navigator.mediaDevices === undefined;
      signal.addEventListener("abort", () => looking.abort(), { once: true });
    },
  };
}
