// One conversation: the customer's messages on the left, a bot's or an agent's on the right, events between them.

import { call } from "./api.js";
import { badges, byId, day, eachFrame, fillEmpty, initials, make, nameOf, plain, stamp, time } from "./dom.js";

let customer = null;
let messages = new Map(); // id → message, in time order
let latest = null; // the newest that has been drawn
let atEnd = true; // whether its end is what is looked at
let opening = 0; // the latest conversation asked for: a response to an older one is dropped
let now = () => 0;
let sending = Promise.resolve(); // messages go out one after the other, in the order in which they were written
const drafts = new Map(); // customer id → what was typed and not yet sent

export function start({ clock, onEscape }) {
  now = clock;
  setInterval(() => customer && head(), 30_000);
  const write = byId("write");
  write.value = sessionStorage.getItem("draft") ?? "";
  sessionStorage.removeItem("draft");
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!customer || !write.value.trim()) return;
    const text = write.value.trim();
    write.value = ""; // at once: what is typed while this one is on its way is the next one
    grow();
    send({ text });
  });
  write.addEventListener("input", grow);
  write.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      byId("composer").requestSubmit();
    }
  });
  for (const id of ["write", "talk"]) {
    byId(id).addEventListener("keydown", (event) => {
      if (event.key === "Escape") onEscape();
    });
  }
  const talk = byId("talk");
  talk.addEventListener("scroll", () => (atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60));
  new ResizeObserver(() => atEnd && toEnd()).observe(talk);
  draw();
}

/** Open a customer's conversation. */
export async function open(id, { focus = false } = {}) {
  opening += 1;
  const mine = opening;
  byId("problem").textContent = "";
  try {
    const answer = await call("GET", `customers/${id}`);
    if (mine !== opening) return;
    choose(answer.customer);
    const before = answer.before.map((message) => ({ ...message, before: true }));
    messages = new Map([...before, ...answer.messages].map((message) => [message.id, message]));
  } catch (error) {
    if (mine !== opening) return;
    close();
    byId("problem").textContent = error.message;
    return;
  }
  latest = null;
  draw();
  if (focus) requestAnimationFrame(() => byId("write").focus());
}

// What was typed to one customer stays theirs.
function choose(next) {
  const write = byId("write");
  if (customer?.id !== next?.id) {
    if (customer) drafts.set(customer.id, write.value);
    if (customer || next === null || drafts.has(next.id)) write.value = (next && drafts.get(next.id)) ?? "";
  }
  customer = next;
  grow();
}

/** Show nobody's. */
export function close() {
  choose(null);
  messages = new Map();
  latest = null;
  draw();
}

/** A customer has changed. */
export function change(changed) {
  if (changed.id !== customer?.id) return;
  if (changed.deleted) close();
  else {
    customer = { ...customer, ...changed };
    draw();
  }
}

/** A message was said. */
export function add(message) {
  if (message.customer_id !== customer?.id) return;
  messages.set(message.id, message);
  draw();
}

function send(body) {
  const to = customer.id;
  byId("problem").textContent = "";
  byId("write").focus();
  sending = sending.then(async () => {
    try {
      await call("POST", `customers/${to}/messages`, body);
    } catch (error) {
      byId("problem").textContent = error.message;
      giveBack(to, body);
    }
  });
}

// A message that was not sent goes back into the box, in front of what was typed since.
function giveBack(to, body) {
  if (body.type === "button") return;
  const write = byId("write");
  const joined = (rest) => (rest ? `${body.text}\n${rest}` : body.text);
  if (customer?.id === to) write.value = joined(write.value);
  else drafts.set(to, joined(drafts.get(to)));
  grow();
}

function grow() {
  const write = byId("write");
  write.style.height = "auto";
  write.style.height = `${write.scrollHeight + 2}px`;
}

const draw = eachFrame(() => {
  head();
  const talk = byId("talk");
  const said = [...messages.values()].sort((a, b) => a.at - b.at || a.id - b.id);
  // A whole conversation is not read out when it is opened; what comes after is.
  talk.setAttribute("aria-live", latest === null ? "off" : "polite");
  const items = [];
  let before = null;
  for (const message of said) {
    if (day(message.at) !== (before && day(before.at))) items.push(make("li", { className: "day", textContent: day(message.at) }));
    items.push(item(message, before));
    before = message;
  }
  const isNew = latest !== null && said.some((message) => message.id > latest);
  byId("messages").replaceChildren(...items);
  if (isNew) byId("messages").lastElementChild.classList.add("new");
  if (atEnd || latest === null) toEnd();
  if (customer) latest = Math.max(0, ...messages.keys());
  const empty = byId("talk-empty");
  empty.hidden = said.length > 0;
  if (customer) fillEmpty(empty, "Nothing said yet", "Write below as the customer: message hooks are told, and the bot answers.");
  else {
    const connect = make("button", { type: "button", className: "button", textContent: "Connect a program" });
    connect.addEventListener("click", () => byId("connect").click());
    fillEmpty(empty, "Choose a customer", "Their conversation is shown here, and you can write as if you were them. To write to them, connect a program.", connect);
  }
});

/** Draw again, because the time was moved. */
export function retime() {
  draw();
}

function toEnd() {
  byId("talk").scrollTop = byId("talk").scrollHeight;
}

function head() {
  const write = byId("write");
  const name = customer ? nameOf(customer) : null;
  byId("who").textContent = name ?? "Conversation";
  byId("who-details").textContent = customer
    ? [`No. ${customer.id}`, `${customer.channel_type} ${customer.channel_id}`, customer.phone, customer.email].filter(Boolean).join(" · ")
    : "";
  byId("who-avatar").hidden = !customer;
  byId("who-avatar").textContent = customer ? initials(name) : "";
  byId("who-badges").replaceChildren(...(customer ? [replyTime(), ...badges(customer)].filter(Boolean) : []));
  byId("write-label").textContent = customer ? `Write as ${name}` : "Write as the customer";
  write.placeholder = customer ? `Write as ${name}` : "Choose a customer first";
  write.disabled = !customer;
  byId("send").disabled = !customer;
}

const REPLY_TIME = 24 * 3600; // seconds

// WhatsApp takes free text for 24 hours after the customer's last message.
function replyTime() {
  if (customer.channel_type !== "whatsapp") return null;
  const left = (customer.last_receive ?? -Infinity) + REPLY_TIME - now();
  const text = left <= 0 ? "24 h over: templates only" : `Free text for ${left >= 3600 ? `${Math.floor(left / 3600)} h` : `${Math.ceil(left / 60)} min`}`;
  return make("span", { className: `badge ${left <= 0 ? "warn" : "good"}`, id: "reply-time", textContent: text, title: "WhatsApp takes free text for 24 hours after the customer's last message" });
}

function item(message, before) {
  const { type, name } = message.sender;
  if (message.type === "event" || type === "sys") {
    return make("li", { className: "happened" }, `${told(message)} · `, stamp(message.at, time(message.at)));
  }
  const side = type === "customer" ? "left" : "right";
  const follows = before && before.sender.type === type && before.sender.id === message.sender.id && message.at - before.at < 300;
  return make(
    "li",
    { className: message.before ? "earlier" : `said ${side} ${type}` },
    follows ? null : make("p", { className: "from", textContent: type === "customer" ? name : `${name} · ${type}` }),
    make("div", { className: "bubble" }, ...content(message), stamp(message.at, time(message.at))),
  );
}

const ACTIONS = { assign: "Assigned to agent", unassign: "Taken from agent" };

function told({ text, type, data = {} }) {
  const action = plain(data.action);
  return Object.hasOwn(ACTIONS, action) ? `${ACTIONS[action]} ${plain(data.agent_id)}` : text || action || type;
}

const PLAIN = new Set(["text", "button"]);

function content(message) {
  const parts = [];
  const data = message.data ?? {};
  if (!PLAIN.has(message.type)) parts.push(make("span", { className: "kind", textContent: message.type.replaceAll("_", " ") }));
  if (message.text) parts.push(make("div", { className: "text", textContent: message.text, dir: "auto" }));
  // `data` may hold anything.
  if (Array.isArray(data.buttons)) {
    const payloads = Array.isArray(data.payloads) ? data.payloads : [];
    parts.push(make("div", { className: "choices" }, ...data.buttons.map((label, place) => choice(plain(label), payloads[place]))));
  }
  const details = [plain(data.url), data.latitude !== undefined ? `${plain(data.latitude)}, ${plain(data.longitude)}` : ""].filter(Boolean);
  for (const detail of details) if (detail !== message.text) parts.push(make("div", { className: "details", textContent: detail }));
  return parts;
}

function choice(label, payload) {
  const button = make("button", { type: "button", className: "choice", textContent: label });
  button.addEventListener("click", () => customer && send({ text: label, type: "button", ...(payload === undefined ? {} : { payload }) }));
  return button;
}
