// The parts together: each event goes to the parts that show it, and the address bar says whose conversation is open.

import { call, follow } from "./api.js";
import * as connection from "./connection.js";
import * as conversation from "./conversation.js";
import * as customers from "./customers.js";
import * as deliveries from "./deliveries.js";
import { byId, dateAndTime } from "./dom.js";
import * as requests from "./requests.js";
import * as setup from "./setup.js";
import * as strip from "./strip.js";

let ahead = 0; // seconds that the sandbox's clock is ahead of this machine's
const now = () => Date.now() / 1000 + ahead;

const VIEWS = { customers: "customers", conversation: "conversation", deliveries: "deliveries" };

function go(view) {
  document.body.dataset.view = VIEWS[view];
  for (const tab of document.querySelectorAll(".tabs button")) {
    if (tab.dataset.go === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (view === "deliveries") deliveries.seen();
}

const PARTS = ["deliveries", "requests", "setup"];

function showPart(name, { focus = false } = {}) {
  for (const each of PARTS) {
    const tab = byId(`tab-of-${each}`);
    tab.setAttribute("aria-selected", String(each === name));
    tab.tabIndex = each === name ? 0 : -1;
    byId(`part-${each}`).hidden = each !== name;
  }
  if (focus) byId(`tab-of-${name}`).focus();
  if (name === "requests") requests.draw();
  if (name === "setup") setup.load();
}

function startParts() {
  for (const [place, name] of PARTS.entries()) {
    const tab = byId(`tab-of-${name}`);
    tab.addEventListener("click", () => showPart(name));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) showPart(PARTS[(place + step + PARTS.length) % PARTS.length], { focus: true });
    });
  }
}

function readAddress({ focus = false } = {}) {
  const [, id] = location.hash.match(/^#customer-(\d+)$/) ?? [];
  const chosen = id === undefined ? null : Number(id);
  customers.choose(chosen);
  deliveries.choose(chosen);
  if (chosen === null) conversation.close();
  else {
    go("conversation");
    conversation.open(chosen, { focus });
  }
}

const happened = {
  request(request) {
    strip.add(request);
    requests.add(request);
  },
  delivery: deliveries.add,
  customer(customer) {
    customers.show(customer);
    conversation.change(customer);
  },
  message: conversation.add,
};

async function main() {
  const state = await call("GET", "state");
  ahead = state.now - Date.now() / 1000;
  const tell = () => (byId("clock").textContent = dateAndTime(now()));
  setInterval(tell, 1000);
  tell();
  strip.start(state, now);
  conversation.start({ clock: now, onEscape: customers.focusChosen });
  connection.start();
  requests.start();
  setup.start({
    onTime(moved) {
      ahead = Math.max(ahead, moved - Date.now() / 1000);
      tell();
      conversation.retime();
    },
  });
  startParts();
  await Promise.all([customers.start(now), deliveries.start()]);
  go("customers");
  readAddress();
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says who is talked to
    go("conversation");
    (byId("write").disabled ? byId("talk") : byId("write")).focus();
  });
  addEventListener("hashchange", () => readAddress({ focus: matchMedia("(min-width: 761px)").matches }));
  for (const tab of document.querySelectorAll(".tabs button")) tab.addEventListener("click", () => go(tab.dataset.go));

  let last = null;
  follow(0, {
    onLive(live) {
      byId("live").dataset.live = live ? "yes" : "no";
      byId("live").textContent = live ? "Live" : "Reconnecting";
    },
    onEvent(event) {
      // The clock only ever seems late, by the way that the event has come: the earliest is the truest.
      ahead = Math.max(ahead, event.at - Date.now() / 1000);
      const missed = last !== null && event.number > last + 1;
      last = event.number;
      if (missed) {
        customers.load();
        deliveries.load();
        readAddress();
      }
      // Older events are in what the page has read; only the strip and the log of requests begin with them.
      if (event.number > state.last || event.kind === "request") happened[event.kind](event);
    },
  });
}

main();
