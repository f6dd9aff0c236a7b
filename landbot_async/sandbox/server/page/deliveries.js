// Deliveries to message hooks: a card for each, with its customer, its attempts and what the receiver answered.

import { call } from "./api.js";
import { byId, eachFrame, fillEmpty, make, plain, seconds, stamp } from "./dom.js";

const MOST = 200;
let deliveries = new Map(); // id → {…, attempts}, the newest first
let chosen = null;
let unseen = 0;

export function start() {
  for (const radio of document.querySelectorAll('input[name="scope"]')) radio.addEventListener("change", draw);
  return load();
}

/** Read them anew. */
export async function load() {
  const answer = await call("GET", `deliveries?limit=${5 * MOST}`);
  deliveries = new Map();
  for (const attempt of answer.deliveries) put(attempt);
  draw();
}

/** Add an attempt. */
export function add(attempt) {
  put(attempt);
  unseen += 1;
  draw();
}

/** Set whose are shown by "This customer". */
export function choose(id) {
  chosen = id;
  draw();
}

/** Take note that they are being looked at. */
export function seen() {
  unseen = 0;
  draw();
}

function put(attempt) {
  const known = deliveries.get(attempt.id);
  const place = `${attempt.attempt} ${attempt.at}`; // a copy of a delivery has attempts of its own
  if (known) {
    known.attempts.set(place, attempt);
    return;
  }
  const oldest = Math.min(...deliveries.keys());
  if (deliveries.size === MOST) {
    if (attempt.id < oldest) return; // it has left the list, and comes back with no new attempt
    deliveries.delete(oldest);
  }
  deliveries = new Map([[attempt.id, { ...attempt, attempts: new Map([[place, attempt]]) }], ...deliveries]);
}

const draw = eachFrame(() => {
  const list = byId("deliveries");
  const one = document.querySelector('input[name="scope"][value="one"]').checked;
  const shown = [...deliveries.values()].filter((each) => !one || each.customer_id === chosen);
  // Cards stay what they are while attempts are added, so that an open one stays open and keeps the keyboard.
  const cards = new Map([...list.children].map((card) => [card.dataset.id, card]));
  const wanted = shown.map((delivery) => {
    const attempts = [...delivery.attempts.values()];
    const card = cards.get(String(delivery.id)) ?? make("li", { className: "card new", dataset: { id: delivery.id } });
    if (card.dataset.attempts !== String(attempts.length)) {
      card.dataset.attempts = attempts.length;
      fill(card, delivery, attempts);
    }
    return card;
  });
  for (const card of [...list.children]) if (!wanted.includes(card)) card.remove();
  wanted.forEach((card, place) => {
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  const empty = byId("deliveries-empty");
  empty.hidden = shown.length > 0;
  if (deliveries.size > 0) fillEmpty(empty, "None for this customer", "Write as the customer, or look at all.");
  else {
    fillEmpty(
      empty,
      "No hook was told anything yet",
      "Register the address of your program; every message is then posted to it, and what it answered stands here.",
      make("pre", { textContent: EXAMPLE, tabIndex: 0 }),
    );
  }
  const count = byId("tab-deliveries");
  count.hidden = unseen === 0 || document.body.dataset.view === "deliveries";
  count.textContent = unseen;
});

const EXAMPLE = `curl "\${LANDBOT_BASE_URL}channels/8/message_hooks/" \\
  -H "Authorization: Token $LANDBOT_API_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"url": "http://127.0.0.1:9000/landbot"}'`;

function fill(card, delivery, attempts) {
  let details = card.firstElementChild;
  if (!details) {
    details = make("details", {}, make("summary"), make("div", { className: "inside" }));
    card.append(details);
  }
  const last = attempts[attempts.length - 1];
  const message = delivery.body?.messages?.[0] ?? {};
  const text = plain(message.data?.body ?? message.message ?? message.title ?? message.data?.title ?? message.data?.action);
  details.firstElementChild.replaceChildren(
    status(last),
    make("span", { className: "about", textContent: [plain(message.type), text].filter(Boolean).join(": ") }),
    stamp(last.at, seconds(last.at)),
    make("span", { className: "whose", textContent: `Customer ${delivery.customer_id} · from ${SPEAKERS[delivery.sender] ?? delivery.sender} · ${attempts.length === 1 ? "1 attempt" : `${attempts.length} attempts`}` }),
    make("span", { className: "url", textContent: `${delivery.hook_id === null ? "APIchat" : `Hook ${delivery.hook_id}`} → ${delivery.url}` }),
  );
  const accepted = last.status >= 200 && last.status < 300;
  details.lastElementChild.replaceChildren(...[
    make("ol", { className: "attempts" }, ...attempts.map(line)),
    accepted ? null : retry(delivery.id),
    last.answer ? make("h3", { textContent: "What it answered" }) : null,
    last.answer ? make("pre", { tabIndex: 0, textContent: last.answer, aria: { label: "The response of the receiver" } }) : null,
    make("h3", { textContent: "What it was sent" }),
    make("pre", { tabIndex: 0, textContent: JSON.stringify(delivery.body, null, 2), aria: { label: "The body that was sent" } }),
  ].filter(Boolean));
}

const SPEAKERS = { customer: "the customer", bot: "a bot", agent: "an agent", sys: "Landbot" };

function retry(id) {
  const button = make("button", { type: "button", className: "button retry", textContent: "Retry now" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    await call("POST", `deliveries/${id}/retry`).catch((error) => (button.textContent = error.message));
  });
  return button;
}

function line(attempt) {
  const next = attempt.next_at ? `again at ${seconds(attempt.next_at)}` : "";
  const failed = attempt.status === null || attempt.status >= 300;
  const outcome = failed ? [attempt.error, next || "given up"].filter(Boolean).join(" · ") : "taken";
  return make(
    "li",
    {},
    make("span", { textContent: `Attempt ${attempt.attempt}` }),
    status(attempt),
    make("span", { className: "why" }, stamp(attempt.at, seconds(attempt.at)), ` · ${outcome}`),
  );
}

function status(attempt) {
  const good = attempt.status >= 200 && attempt.status < 300;
  const kind = good ? "good" : attempt.next_at ? "warn" : "bad";
  return make("span", { className: `status ${kind}`, textContent: attempt.status ?? "no answer", title: good ? "taken" : "not taken" });
}
