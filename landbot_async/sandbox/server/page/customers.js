// The list of customers: found on the server, as many as have been scrolled to, the latest conversation first.

import { call } from "./api.js";
import { badges, byId, eachFrame, fillEmpty, initials, make, nameOf, number, soon, stamp } from "./dom.js";

const PAGE = 60;
const list = byId("customers");
let rows = new Map(); // id → customer
let total = 0;
let chosen = null;
let asked = 0; // the latest search: an answer to an older one is thrown away
let now = () => 0;

export function start(clock) {
  now = clock;
  let wait;
  byId("search").addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(load, 120);
  });
  byId("more").addEventListener("click", () => more(asked));
  new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && byId("more").click()).observe(byId("more"));
  list.addEventListener("keydown", move);
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest?.("input, textarea, dialog");
    if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.body.dataset.view = "customers";
      byId("search").focus();
    }
  });
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      list.querySelector("a")?.focus();
    }
  });
  return load();
}

/** Read the list anew. */
export async function load() {
  asked += 1;
  rows = new Map();
  await more(asked);
}

async function more(search) {
  const query = new URLSearchParams({ search: byId("search").value.trim(), offset: rows.size, limit: PAGE });
  const page = await call("GET", `customers?${query}`);
  if (search !== asked) return;
  total = page.total;
  for (const customer of page.customers) rows.set(customer.id, customer);
  draw();
}

/** A customer as they are now, whether new, changed or gone. */
export function show(customer) {
  const known = rows.has(customer.id);
  if (customer.deleted) rows.delete(customer.id);
  // Somebody not in the list yet belongs into it if they come before its end; whom a search finds, the server knows.
  else if (known || (!byId("search").value.trim() && (rows.size >= total || latest(customer) >= Math.min(...[...rows.values()].map(latest))))) {
    rows.set(customer.id, customer);
  }
  if (!known || customer.deleted) count();
  draw();
}

const latest = (customer) => customer.last_message ?? 0;

// How many there are, asked for once when many have come or gone.
let counting;
function count() {
  clearTimeout(counting);
  const search = asked;
  counting = setTimeout(async () => {
    const query = new URLSearchParams({ search: byId("search").value.trim(), limit: 0 });
    const page = await call("GET", `customers?${query}`);
    if (search !== asked) return;
    total = page.total;
    draw();
  }, 150);
}

/** Mark who is talked to. */
export function choose(id) {
  chosen = id;
  draw();
}

/** Put the keyboard on who is talked to. */
export function focusChosen() {
  document.body.dataset.view = "customers";
  (list.querySelector("a[aria-current]") ?? list.querySelector("a") ?? byId("search")).focus();
}

// Arrow keys go through the list, which is one stop of the tab key.
function move(event) {
  const links = [...list.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  if (to < 0) byId("search").focus();
  else links[to]?.focus();
}

function row(customer, tabbable) {
  const marks = badges(customer);
  const link = make(
    "a",
    { className: "row", href: `#customer-${customer.id}`, tabIndex: tabbable ? 0 : -1, dataset: { id: customer.id } },
    make("span", { className: "avatar", textContent: initials(customer.name), aria: { hidden: "true" } }),
    make(
      "span",
      { className: "what" },
      make("span", { className: "name", textContent: nameOf(customer), dir: "auto" }),
      make("span", { className: "preview", dir: "auto", textContent: customer.last_text || customer.phone || customer.email || "Nothing said yet" }),
    ),
    make(
      "span",
      { className: "aside" },
      customer.last_message ? stamp(customer.last_message, soon(customer.last_message, now())) : null,
      make("span", { className: "channel", textContent: customer.channel_type }),
    ),
    marks.length ? make("span", { className: "badges" }, ...marks) : null,
  );
  if (customer.id === chosen) link.setAttribute("aria-current", "true");
  return make("li", {}, link);
}

const draw = eachFrame(() => {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const shown = [...rows.values()].sort((a, b) => latest(b) - latest(a));
  const current = rows.has(chosen) ? chosen : shown[0]?.id;
  list.replaceChildren(...shown.map((customer) => row(customer, customer.id === current)));
  if (focused) list.querySelector(`a[data-id="${focused}"]`)?.focus({ preventScroll: true });
  byId("customers-total").textContent = number.format(total);
  byId("more").hidden = rows.size >= total;
  const empty = byId("customers-empty");
  empty.hidden = rows.size > 0;
  const search = byId("search").value.trim();
  if (search) fillEmpty(empty, "Nobody found", `No name, phone or email has “${search}” in it.`);
  else {
    fillEmpty(
      empty,
      "No customers yet",
      "Start the sandbox with some, or let one write through APIchat:",
      make("pre", { textContent: "landbot sandbox --customers 25" }),
    );
  }
});
