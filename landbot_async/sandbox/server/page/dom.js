// Small things that all parts use. What comes from customers only ever becomes text: nothing here parses HTML.

export const byId = (id) => document.getElementById(id);

/** A new element. `properties` are set as such; `dataset`, `aria` and `attributes` as what they are called. */
export function make(tag, properties = {}, ...children) {
  const { dataset = {}, aria = {}, attributes = {}, ...plain } = properties;
  const element = Object.assign(document.createElement(tag), plain);
  Object.assign(element.dataset, dataset);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Do it once, at the next frame, however often it is asked for until then. */
export function eachFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

export const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const long = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const date = (at) => new Date(at * 1000);
export const time = (at) => clock.format(date(at));
export const seconds = (at) => exact.format(date(at));
export const day = (at) => long.format(date(at));
export const dateAndTime = (at) => whole.format(date(at));
/** The time where it is today, else the day. */
export const soon = (at, now) => (day(at) === day(now) ? time(at) : short.format(date(at)));
export const stamp = (at, text) => make("time", { dateTime: date(at).toISOString(), title: dateAndTime(at), textContent: text });

/** Any JSON value as text. `String` would fail at an object with a `toString` that is not a function. */
export function plain(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What a customer is called; who has no name, or a blank one, is called by number. */
export const nameOf = (customer) => (customer.name?.trim() ? customer.name : `Customer ${customer.id}`);

export const initials = (name) =>
  (name || "?").trim().split(/\s+/u).slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();

/** The badges of a customer: only what is out of the ordinary, and who has the chat. */
export function badges(customer) {
  const found = [];
  const add = (text, kind = "") => found.push(make("span", { className: `badge ${kind}`, textContent: text }));
  if (customer.blocked) add("Blocked", "bad");
  if (customer.opt_in === false) add("Opted out", "warn");
  if (customer.agent_id !== null && customer.agent_id !== undefined) add(`Agent ${customer.agent_id}`, "agent");
  if (customer.bot_id !== null && customer.bot_id !== undefined) add(`Bot ${customer.bot_id}`, "agent");
  if (customer.archived) add("Archived");
  return found;
}

/** What to show where there is nothing. */
export function fillEmpty(element, title, text, ...more) {
  element.replaceChildren(make("h3", { textContent: title }), make("p", { textContent: text }), ...more);
}
