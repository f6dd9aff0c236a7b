// The parts together: what happens goes to whom it concerns, and the address bar says who is talked to.

import { call, follow } from "./api.js";
import * as connection from "./connection.js";
import * as conversation from "./conversation.js";
import * as customers from "./customers.js";
import * as deliveries from "./deliveries.js";
import { byId, dateAndTime } from "./dom.js";
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
  request: strip.add,
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
  conversation.start({ onEscape: customers.focusChosen });
  connection.start();
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
    onHappening(event) {
      // The clock only ever seems late, by the way that the event has come: the earliest is the truest.
      ahead = Math.max(ahead, event.at - Date.now() / 1000);
      const missed = last !== null && event.number > last + 1;
      last = event.number;
      if (missed) {
        customers.load();
        deliveries.load();
        readAddress();
      }
      // What was before the page was opened is in what it has read; only the strip begins with it.
      if (event.number > state.last || event.kind === "request") happened[event.kind](event);
    },
  });
}

main();
