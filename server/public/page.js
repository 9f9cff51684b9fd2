/**
 * The page: which of its three views is shown, who looks at it, whether the service can be reached, and what is read aloud. What
 * each view is about: shop.js, till.js and operate.js.
 */
import { CouponError, couponClient } from "./client.js";
import { find, html, kept, mark, put, tell } from "./elements.js";
import { createOperate } from "./operate.js";
import { createShop } from "./shop.js";
import { createTill } from "./till.js";
import { whatFailed } from "./words.js";

/** @typedef {"user" | "till" | "admin"} Role */

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("./elements.js").View} View */

/** What the service answers when it has too much to do: the client asks again. */
const BUSY = new Set([429, 502, 503, 504]);
/** From a sign-in that failed to the next one, ms. */
const AGAIN_MS = 3_000;
/** How long a sentence is left to be read aloud, ms. */
const SAID_MS = 8_000;

/** What a person sees of the connection; nothing while all is well. */
const CONNECTION = {
  there: "",
  busy: "The service is very busy. This page keeps trying; nothing is lost.",
  lost: "There is no connection. What you see may be old. This page keeps trying.",
};

const TITLES = { shop: "Today's coupons", till: "Till", operate: "Operate" };
/** @type {Record<keyof typeof TITLES, Role>} */
const ROLES = { shop: "user", till: "till", operate: "admin" };
/** The roles that a view takes, and whose token that is in words. */
const TAKES = {
  user: { roles: ["user"], whose: "a user's" },
  till: { roles: ["till", "service", "admin"], whose: "a till's" },
  admin: { roles: ["admin"], whose: "an operator's" },
};

/**
 * Who is signed in, in each role: of a user the number, of others what their token calls them.
 * @type {Partial<Record<Role, { token: string, name: string | number }>>}
 */
const known = {};
/** Whether the service hands out tokens itself; until it says otherwise. */
let hasDemo = true;
/** The key of the link that ./sd start prints, kept for the tab: whoever has it is handed tokens. */
const DEMO_KEY = "demo key";
/** In demo mode; another one in each tab, so that two are two people. */
let demoUser = Number(kept.getItem("user_id") ?? 1 + Math.floor(Math.random() * 1000));
/** Ends what the shown view watches. */
let shown = new AbortController();
/** Of each role: ends what is under way of who looked, since it would be sent again as who looks then. */
const looking = { user: new AbortController(), till: new AbortController(), admin: new AbortController() };
/** Why that ended: nobody is told. */
const LEFT = new DOMException("somebody else looks", "AbortError");

const visitor = couponClient({ token: () => kept.getItem(DEMO_KEY) ?? "", fetch: observed });
/** @type {Record<keyof typeof TITLES, View>} */
const views = {
  shop: createShop(frameOf("user")),
  till: createTill(frameOf("till")),
  operate: createOperate(frameOf("admin")),
};

takeDemoKey();
window.addEventListener("hashchange", () => {
  if (takeDemoKey()) return showView();
  if (!html(`#${current()}`).hidden) return;
  showView();
  html(`#${current()}-title`).focus();
  window.scrollTo(0, 0);
});
// A browser has six connections to a server, for all tabs together.
document.addEventListener("visibilitychange", reopen);
onSignIn("#user-demo", (data) => {
  demoUser = Number(data.get("user_id"));
  kept.setItem("user_id", `${demoUser}`);
  forget("user");
});
for (const role of /** @type {const} */ (["user", "till", "admin"])) {
  onSignIn(`#${role}-token`, async (data) => {
    const token = String(data.get("token")).trim();
    const { name, wrong } = await whoHas(token, role);
    tell(html(`#${role}-token`), wrong, "bad");
    if (name === undefined) return say(wrong);
    forget(role);
    kept.setItem(`token of ${role}`, JSON.stringify({ token, name }));
  });
  onSignIn(`#${role}-out`, () => forget(role));
}
showView();

/** Takes the key out of the address, where others could read it, and says whether there was one. */
function takeDemoKey() {
  const [, key] = location.hash.match(/^#demo=(.+)$/) ?? [];
  if (key === undefined) return false;
  kept.setItem(DEMO_KEY, key);
  history.replaceState(null, "", location.pathname + location.search);
  hasDemo = true;
  return true;
}

/** @returns {keyof typeof TITLES} */
function current() {
  const name = location.hash.slice(1);
  return name === "operate" || name === "till" ? name : "shop";
}

function showView() {
  const view = current();
  document.title = `${TITLES[view]} · coupon-drop`;
  for (const name of Object.keys(TITLES)) {
    html(`#${name}`).hidden = name !== view;
    mark(html(`nav a[href="#${name}"]`), { "aria-current": name === view ? "page" : null });
  }
  void reopen();
}

/** The shown view begins anew, if anybody sees it. */
async function reopen() {
  shown.abort();
  const opened = new AbortController();
  shown = opened;
  if (document.hidden) return;
  const view = current();
  const isIn = await signIn(ROLES[view]);
  if (opened.signal.aborted) return;
  if (isIn) showBanner("");
  // Whoever only looks needs no token.
  if (isIn || view === "shop") views[view].open(opened.signal);
}

// ---- Who looks --------------------------------------------------------------------------------------------------------

/**
 * @param {Role} role
 * @returns {Frame}
 */
function frameOf(role) {
  /** @type {Frame} */
  const frame = {
    client: untilLeft(couponClient({ token: () => known[role]?.token ?? "", fetch: observed }), role),
    userId: () => {
      const name = known[role]?.name;
      return typeof name === "number" ? name : undefined;
    },
    say,
    failed(error) {
      if (error === LEFT) return "";
      const text = whatFailed(error);
      say(text);
      if (error instanceof CouponError && error.status === 401) {
        forget(role);
        if (hasDemo) setTimeout(reopen, AGAIN_MS);
        else void reopen().then(() => html(`#${role}-token input`).focus());
      }
      return text;
    },
    broke(error) {
      const text = frame.failed(error);
      if (text !== "") showBanner(text);
    },
  };
  return frame;
}

/**
 * The same client, whose calls end once somebody else looks. Streams end with their view.
 * @param {import("./client.js").CouponClient} client
 * @param {Role} role
 */
function untilLeft(client, role) {
  return new Proxy(client, {
    get(_, name) {
      const method = Reflect.get(client, name);
      if (name === "serverNow" || String(name).startsWith("watch")) return method;
      return (/** @type {object} */ request, /** @type {{ signal?: AbortSignal }} */ { signal } = {}) => {
        const left = looking[role].signal;
        return method(request, { signal: signal ? AbortSignal.any([signal, left]) : left });
      };
    },
  });
}

/**
 * Sees to a token: the one that was given in this tab, or one that the demo hands out.
 * @param {Role} role
 */
async function signIn(role) {
  const given = kept.getItem(`token of ${role}`);
  if (given !== null) known[role] = JSON.parse(given);
  if (known[role] === undefined && hasDemo)
    try {
      const who = role === "user" ? { role, user_id: demoUser } : { role };
      const { token } = await visitor.demoToken(who);
      known[role] = { token, name: who.user_id ?? "demo" };
    } catch (error) {
      if (error instanceof CouponError && error.status === 404) {
        hasDemo = false;
        const text = "This demo link is not valid any more: ./sd start prints a new one.";
        if (kept.getItem(DEMO_KEY) !== null)
          for (const form of ["#user-token", "#till-token", "#admin-token"]) tell(html(form), text, "bad");
      } else {
        showBanner(whatFailed(error));
        setTimeout(reopen, AGAIN_MS);
      }
    }
  const isIn = known[role] !== undefined;
  html(`#${role}-token`).hidden = isIn || hasDemo;
  html(`#${role}-out`).hidden = given === null;
  if (given !== null) put(html(`#${role}-out .name`), `${known[role]?.name}`);
  if (role === "user") {
    html("#user-demo").hidden = !hasDemo || given !== null;
    find("#user-id", HTMLInputElement).value = `${demoUser}`;
  }
  return isIn;
}

/**
 * What who has this token is called, or what is wrong with it. The service says: a provider's token has its role where the provider likes,
 * and a subject that is no number of a user.
 * @param {string} token
 * @param {Role} role
 * @returns {Promise<{ name?: string | number, wrong: string }>}
 */
async function whoHas(token, role) {
  const { roles, whose } = TAKES[role];
  const wrong = `This is not ${whose} token.`;
  const subject = subjectOf(token);
  if (subject === undefined) return { wrong };
  try {
    const me = await couponClient({ token, fetch: observed }).me();
    return roles.includes(me.role) ? { name: me.user_id ?? subject, wrong: "" } : { wrong };
  } catch (error) {
    // Not a CouponError: it has a character that no header can have.
    return { wrong: error instanceof CouponError && error.status !== 401 ? whatFailed(error) : wrong };
  }
}

/** @param {Role} role */
function forget(role) {
  looking[role].abort(LEFT);
  looking[role] = new AbortController();
  delete known[role];
  kept.removeItem(`token of ${role}`);
  for (const name of /** @type {const} */ (["shop", "till", "operate"]))
    if (ROLES[name] === role) views[name].forget();
}

/**
 * @param {string} form
 * @param {(data: FormData) => void | Promise<void>} act
 */
function onSignIn(form, act) {
  const element = find(form, HTMLFormElement);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    await act(new FormData(element));
    element.reset();
    void reopen();
  });
}

/**
 * What a token calls who has it, unchecked: that is the service's to do. Undefined: it is no token.
 * @param {string} token
 * @returns {string | undefined}
 */
function subjectOf(token) {
  try {
    const bytes = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))).sub;
  } catch {
    return undefined;
  }
}

// ---- What happened ----------------------------------------------------------------------------------------------------

/** @param {string} text */
function say(text) {
  const said = html("#said");
  const line = document.createElement("p");
  line.textContent = text;
  said.append(line);
  setTimeout(() => line.remove(), SAID_MS);
}

/**
 * fetch(), which sees how the connection is.
 * @param {string | URL | Request} url
 * @param {RequestInit} [init]
 */
async function observed(url, init) {
  try {
    const response = await fetch(url, init);
    showConnection(BUSY.has(response.status) ? "busy" : "there");
    return response;
  } catch (error) {
    // Not when it was us who hung up. Nor by a stream alone, which some proxies end: then the state is asked for, and that shows it.
    const isStream = String(url).endsWith("/events");
    if (!isStream && !(error instanceof Error && error.name === "AbortError")) showConnection("lost");
    throw error;
  }
}

/** @param {keyof typeof CONNECTION} state */
function showConnection(state) {
  const text = CONNECTION[state];
  const told = html("#connection").textContent;
  // That the service can be reached is no news for whoever it doesn't know.
  const isOther = state === "there" && told !== CONNECTION.busy && told !== CONNECTION.lost;
  if (told === text || isOther) return;
  showBanner(text);
  say(text || "Everything works again.");
}

/** @param {string} text */
function showBanner(text) {
  const banner = html("#connection");
  put(banner, text);
  banner.hidden = text === "";
}
