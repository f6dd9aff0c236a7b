// The list of customers, the latest conversation first; searches run on the server. As many are held as have been
// scrolled to, but only those in sight are elements: thousands of rows would take too long to lay out in each frame.

import { call } from "./api.js";
import { badges, byId, eachFrame, fillEmpty, initials, make, nameOf, number, soon, stamp } from "./dom.js";

const PAGE = 100;
const ROW = 78; // pixels, as in the style sheet
const BEYOND = 20; // rows that are drawn above and below those in sight
const list = byId("customers");
const scroller = list.parentElement;
let rows = new Map(); // id → customer
let order = []; // the customers, as listed
const items = new Map(); // id → { item, customer, place }: what is drawn
const changed = new Map(); // id → customer: to be listed in the next frame
let total = 0;
let chosen = null;
let asked = 0; // the latest search: a response to an older one is dropped
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
  scroller.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(scroller);
  list.addEventListener("keydown", move);
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest?.("input, textarea, select, dialog");
    if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.body.dataset.view = "customers";
      byId("search").focus();
    }
  });
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      focusRow(0);
    }
  });
  return load();
}

/** Read the list anew. */
export async function load() {
  asked += 1;
  rows = new Map();
  order = [];
  changed.clear();
  await more(asked);
}

let reading = 0; // the search whose next page is being read

async function more(search) {
  if (reading === search) return;
  reading = search;
  const query = new URLSearchParams({ search: byId("search").value.trim(), offset: rows.size, limit: PAGE });
  try {
    const page = await call("GET", `customers?${query}`);
    if (search !== asked) return;
    total = page.total;
    for (const customer of page.customers) settle(customer);
    draw();
  } finally {
    if (reading === search) reading = 0;
  }
}

/** A customer as they are now: new, changed or deleted. */
export function show(customer) {
  const known = rows.has(customer.id) || changed.has(customer.id);
  // A new one belongs into the list if they come before its end; only the server knows whom a search finds.
  const within = order.length >= total || latest(customer) >= latest(order.at(-1));
  if (known || (within && !byId("search").value.trim())) changed.set(customer.id, customer);
  if (!known || customer.deleted) count();
  draw();
}

const latest = (customer) => customer?.last_message ?? 0;

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

/** Mark whose conversation is open. */
export function choose(id) {
  const before = items.get(chosen);
  chosen = id;
  for (const drawn of [before, items.get(id)]) if (drawn) mark(drawn);
  draw();
}

/** Put the keyboard on the customer whose conversation is open. */
export function focusChosen() {
  document.body.dataset.view = "customers";
  if (order.length === 0) byId("search").focus();
  else focusRow(Math.max(0, order.findIndex((customer) => customer.id === chosen)));
}

// Arrow keys go through the list, which is one stop of the tab key.
function move(event) {
  const at = order.findIndex((customer) => String(customer.id) === document.activeElement?.dataset.id);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  if (to < 0) byId("search").focus();
  else focusRow(to);
}

function focusRow(place) {
  const customer = order[place];
  if (!customer) return;
  const top = place * ROW;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + 2 * ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + 2 * ROW - scroller.clientHeight;
  drawNow();
  items.get(customer.id)?.item.firstElementChild.focus({ preventScroll: true });
}

// Where a customer is listed now.
function settle(customer) {
  const known = rows.get(customer.id);
  const at = known ? order.indexOf(known) : -1;
  if (customer.deleted) {
    if (known) order.splice(at, 1);
    rows.delete(customer.id);
    return;
  }
  rows.set(customer.id, customer);
  if (known && latest(known) === latest(customer)) {
    order[at] = customer;
    return;
  }
  if (known) order.splice(at, 1);
  let [low, high] = [0, order.length];
  // Behind those who are later; in front of those of the same time, unless they come as the end of the list.
  const before = known ? (each) => latest(each) > latest(customer) : (each) => latest(each) >= latest(customer);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(order[middle])) low = middle + 1;
    else high = middle;
  }
  order.splice(low, 0, customer);
}

function fillRow(anchor, customer) {
  anchor.replaceChildren(
    make("span", { className: "avatar", textContent: initials(customer.name), aria: { hidden: "true" } }),
    make(
      "span",
      { className: "what" },
      make("span", { className: "name", textContent: nameOf(customer), dir: "auto" }),
      make("span", { className: "preview", dir: "auto", textContent: customer.last_text || customer.phone || customer.email || "Nothing said yet" }),
    ),
    make("span", { className: "aside" }, customer.last_message ? stamp(customer.last_message, soon(customer.last_message, now())) : null),
    make("span", { className: "badges" }, make("span", { className: "number", textContent: `No. ${customer.id} · ${customer.channel_type} ${customer.channel_id}` }), ...badges(customer)),
  );
}

function mark({ item, customer }) {
  if (customer.id === chosen) item.firstElementChild.setAttribute("aria-current", "true");
  else item.firstElementChild.removeAttribute("aria-current");
}

function row(customer) {
  const anchor = make("a", { className: "row", href: `#customer-${customer.id}`, tabIndex: -1, dataset: { id: customer.id } });
  const drawn = { item: make("li", { dataset: { id: customer.id } }, anchor), customer: null, place: -1 };
  items.set(customer.id, drawn);
  return drawn;
}

function drawNow() {
  const top = scroller.scrollTop;
  for (const customer of changed.values()) settle(customer);
  changed.clear();
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const last = Math.min(order.length, Math.ceil((top + scroller.clientHeight) / ROW) + BEYOND);
  const wanted = new Map();
  const focused = list.contains(document.activeElement) ? Number(document.activeElement.dataset.id) : null;
  const stop = rows.has(chosen) ? chosen : order[0]?.id;
  const add = (place) => place >= 0 && wanted.set(order[place].id, place);
  for (let place = first; place < last; place += 1) add(place);
  // The row with the keyboard, and the one that the tab key stops at, are there wherever they are.
  for (const id of [focused, stop]) if (id && !wanted.has(id) && rows.has(id)) add(order.indexOf(rows.get(id)));
  list.style.height = `${order.length * ROW}px`;
  for (const [id, { item }] of items) {
    if (!wanted.has(id)) {
      item.remove();
      items.delete(id);
    }
  }
  let following = list.firstElementChild;
  for (const [id, place] of [...wanted].sort((a, b) => a[1] - b[1])) {
    const drawn = items.get(id) ?? row(order[place]);
    if (drawn.customer !== order[place]) {
      drawn.customer = order[place];
      fillRow(drawn.item.firstElementChild, drawn.customer);
      mark(drawn);
    }
    if (drawn.place !== place) {
      drawn.place = place;
      drawn.item.style.transform = `translateY(${place * ROW}px)`;
      drawn.item.setAttribute("aria-posinset", place + 1);
    }
    drawn.item.setAttribute("aria-setsize", total);
    drawn.item.firstElementChild.tabIndex = id === stop ? 0 : -1;
    if (drawn.item === following) following = following.nextElementSibling;
    else list.insertBefore(drawn.item, following);
  }
  if (focused && document.activeElement?.dataset?.id !== String(focused)) items.get(focused)?.item.firstElementChild.focus({ preventScroll: true });
  byId("customers-total").textContent = number.format(total);
  byId("more").hidden = rows.size >= total;
  const empty = byId("customers-empty");
  empty.hidden = order.length > 0;
  if (order.length > 0) return;
  const search = byId("search").value.trim();
  if (search) fillEmpty(empty, "Nobody found", `No name, phone or email has “${search}” in it.`);
  else {
    fillEmpty(
      empty,
      "No customers yet",
      "Make one under Set up, start the sandbox with some, or let one write through APIchat:",
      make("pre", { textContent: "landbot sandbox --customers 25" }),
    );
  }
}

const draw = eachFrame(drawNow);
