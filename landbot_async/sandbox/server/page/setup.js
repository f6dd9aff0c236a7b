// What a test would set up: customers, hooks, an APIchat URL, faults, the time.

import { call } from "./api.js";
import { byId, make } from "./dom.js";

const FAULTS = ["lost_answer", "cut", "refused", "half_body", "html", 429, 500, 503];
const EITHER = new Set(["html", "429", "500", "503"]); // what may come before or after the work

export function start({ onTime }) {
  for (const what of FAULTS) {
    document.querySelector("#new-fault select").append(make("option", { value: String(what), textContent: String(what).replaceAll("_", " ") }));
  }
  form("new-customer", async (given) => {
    const { name, phone } = given;
    const details = { channel_id: Number(given.channel_id), ...(name ? { name } : {}), ...(phone ? { phone } : {}) };
    const { customer } = await call("POST", "customers", details);
    return `Customer ${customer.id} is there.`;
  });
  form("new-hook", async ({ channel_id, url, token }) => {
    const { hook } = await call("POST", "hooks", { channel_id: Number(channel_id), url, token: token || null });
    await load();
    return `Hook ${hook.id} is told of every message from now on.`;
  });
  form("apichat-url", async ({ channel_id, url }) => {
    await call("PATCH", `channels/${channel_id}`, { url: url || null });
    return url ? `Messages of bots and agents on channel ${channel_id} are posted there.` : `Channel ${channel_id} posts nothing.`;
  });
  form("new-fault", async ({ what, times, after_the_work }) => {
    const after = after_the_work === "on" && EITHER.has(what);
    await call("POST", "faults", { what: /^\d+$/.test(what) ? Number(what) : what, times: Number(times) || 1, after_the_work: after });
    await load();
    return "The next requests will meet it.";
  });
  form("time", async () => {
    const { now } = await call("POST", "tick", { hours: 25 });
    onTime(now);
    return "25 hours have passed: WhatsApp takes only templates until a customer writes.";
  });
  byId("clear-faults").addEventListener("click", async () => {
    await call("DELETE", "faults");
    await load();
    tell("Nothing goes wrong any more.");
  });
}

/** Read channels, hooks and faults anew. */
export async function load() {
  const [{ channels, faults }, { hooks }] = await Promise.all([call("GET", "state"), call("GET", "hooks")]);
  for (const select of document.querySelectorAll("#part-setup [data-channels]")) {
    const before = select.value;
    const wanted = channels.filter((each) => select.dataset.channels === "all" || each.type === select.dataset.channels);
    select.replaceChildren(...wanted.map((each) => make("option", { value: String(each.id), textContent: `${each.id} · ${each.name}` })));
    if (before) select.value = before;
  }
  byId("hooks").replaceChildren(...hooks.map(hook));
  byId("faults").replaceChildren(...faults.map((each) => make("li", { textContent: `${each.what} · ${each.times ?? "always"}${each.times ? " to come" : ""}` })));
  byId("clear-faults").hidden = faults.length === 0;
}

function hook(each) {
  const remove = make("button", { type: "button", className: "button quiet", textContent: "Delete", aria: { label: `Delete hook ${each.id}` } });
  remove.addEventListener("click", async () => {
    await call("DELETE", `hooks/${each.id}`);
    await load();
    tell(`Hook ${each.id} is gone.`);
  });
  return make("li", {}, make("span", { textContent: `${each.id} · channel ${each.channel_id} · ${each.url}` }), remove);
}

function form(id, submit) {
  byId(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    try {
      const told = await submit(Object.fromEntries(new FormData(form)));
      for (const input of form.querySelectorAll("input:not([type=number]):not([type=checkbox])")) input.value = "";
      tell(told);
    } catch (error) {
      tell(error.message, true);
    }
  });
}

function tell(text, bad = false) {
  byId("setup-told").textContent = text;
  byId("setup-told").classList.toggle("bad", bad);
}
