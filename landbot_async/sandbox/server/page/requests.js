// The log of requests, the newest first: method, path, status, and why the sandbox refused.

import { byId, eachFrame, fillEmpty, make, seconds, stamp } from "./dom.js";

const MOST = 300;
const requests = []; // the newest last
let drawn = 0; // how many of all that came are in the list
let count = 0;

export function start() {
  for (const radio of document.querySelectorAll('input[name="requests"]')) {
    radio.addEventListener("change", () => {
      byId("requests").replaceChildren();
      drawn = 0;
      draw();
    });
  }
  draw();
}

/** Add a request. */
export function add(request) {
  requests.push({ ...request, place: (count += 1) });
  if (requests.length > MOST) requests.shift();
  draw();
}

const failed = (request) => request.status === null || request.status >= 400 || request.fault !== null;

// What is not looked at costs nothing; what is costs no more than what is new.
export const draw = eachFrame(() => {
  if (byId("part-requests").hidden) return;
  const list = byId("requests");
  const only = document.querySelector('input[name="requests"][value="failed"]').checked;
  for (const request of requests) {
    if (request.place > drawn && (!only || failed(request))) list.prepend(item(request));
  }
  drawn = count;
  while (list.children.length > MOST) list.lastElementChild.remove();
  const empty = byId("requests-empty");
  empty.hidden = list.children.length > 0;
  fillEmpty(empty, only ? "No request has failed" : "No requests yet", "What programs ask of the two APIs stands here, with what was refused and why.");
});

function item(request) {
  const kind = request.status === null || request.status >= 500 ? "bad" : request.status >= 400 ? "warn" : "good";
  const why = [request.fault === null ? "" : `fault: ${request.fault}`, request.error ?? ""].filter(Boolean).join(" · ");
  return make(
    "li",
    { className: "request" },
    make("span", { className: `status ${kind}`, textContent: request.status ?? "broken" }),
    make("span", { className: "path", textContent: `${request.method} ${request.path}` }),
    stamp(request.at, seconds(request.at)),
    why ? make("span", { className: "why", textContent: why }) : null,
  );
}
