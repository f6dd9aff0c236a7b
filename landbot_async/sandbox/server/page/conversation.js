// One conversation: the customer's words on the left, a bot's or an agent's on the right, events between them.

import { call } from "./api.js";
import { badges, byId, day, eachFrame, fillEmpty, initials, make, nameOf, stamp, time } from "./dom.js";

let customer = null;
let messages = new Map(); // id → message, in time order
let latest = null; // the newest that has been drawn
let atEnd = true; // whether its end is what is looked at
let opening = 0; // the latest conversation asked for: an answer to an older one is thrown away

export function start({ onEscape }) {
  const write = byId("write");
  write.value = sessionStorage.getItem("draft") ?? "";
  sessionStorage.removeItem("draft");
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send({ text: write.value.trim() });
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
    customer = answer.customer;
    messages = new Map(answer.messages.map((message) => [message.id, message]));
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

/** Show nobody's. */
export function close() {
  customer = null;
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

async function send(body) {
  if (!customer || !body.text) return;
  const write = byId("write");
  byId("problem").textContent = "";
  try {
    await call("POST", `customers/${customer.id}/messages`, body);
    if (!body.payload) write.value = "";
    grow();
  } catch (error) {
    byId("problem").textContent = error.message;
  }
  write.focus();
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

function toEnd() {
  byId("talk").scrollTop = byId("talk").scrollHeight;
}

function head() {
  const write = byId("write");
  const name = customer ? nameOf(customer) : null;
  byId("who").textContent = name ?? "Conversation";
  byId("who-details").textContent = customer
    ? [`No. ${customer.id}`, customer.channel_type, customer.phone, customer.email].filter(Boolean).join(" · ")
    : "";
  byId("who-avatar").hidden = !customer;
  byId("who-avatar").textContent = customer ? initials(name) : "";
  byId("who-badges").replaceChildren(...(customer ? badges(customer) : []));
  byId("write-label").textContent = customer ? `Write as ${name}` : "Write as the customer";
  write.placeholder = customer ? `Write as ${name}` : "Choose a customer first";
  write.disabled = !customer;
  byId("send").disabled = !customer;
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
    { className: `said ${side} ${type}` },
    follows ? null : make("p", { className: "from", textContent: type === "customer" ? name : `${name} · ${type}` }),
    make("div", { className: "bubble" }, ...content(message), stamp(message.at, time(message.at))),
  );
}

const ACTIONS = { assign: "Assigned to agent", unassign: "Taken from agent" };

function told({ text, type, data = {} }) {
  return Object.hasOwn(ACTIONS, data.action) ? `${ACTIONS[data.action]} ${data.agent_id}` : text || data.action || type;
}

const PLAIN = new Set(["text", "button"]);

function content(message) {
  const parts = [];
  const data = message.data ?? {};
  if (!PLAIN.has(message.type)) parts.push(make("span", { className: "kind", textContent: message.type.replaceAll("_", " ") }));
  if (message.text) parts.push(make("div", { className: "text", textContent: message.text, dir: "auto" }));
  // Whoever writes says what is in `data`: it may be anything.
  if (Array.isArray(data.buttons)) {
    const payloads = Array.isArray(data.payloads) ? data.payloads : [];
    parts.push(make("div", { className: "choices" }, ...data.buttons.map((label, place) => choice(String(label), payloads[place]))));
  }
  const details = [data.url, data.latitude !== undefined ? `${data.latitude}, ${data.longitude}` : null].filter(Boolean);
  for (const detail of details) if (detail !== message.text) parts.push(make("div", { className: "details", textContent: detail }));
  return parts;
}

function choice(label, payload) {
  const button = make("button", { type: "button", className: "choice", textContent: label });
  button.addEventListener("click", () => send({ text: label, type: "button", payload }));
  return button;
}
