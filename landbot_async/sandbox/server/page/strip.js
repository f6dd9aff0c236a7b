// The last minute's requests, a bar a second: taken ones in the accent, refused ones (429) in red on top.

import { byId, eachFrame, number, svg } from "./dom.js";

const SECONDS = 60;
const WIDTH = 600;
const HEIGHT = 56;
const counts = new Map(); // second → [taken, refused]
let ceiling = null; // requests a second; null where there is no limit
let now = () => 0;

export function start(state, clock) {
  now = clock;
  ceiling = state.window === "off" ? null : state.rate / state.per;
  const limit = state.per === 1 ? `${state.rate} a second` : `${state.rate} in ${state.per} s`;
  byId("strip-limit").textContent = ceiling === null ? "No limit" : `Limit\n${limit}`;
  setInterval(draw, 1000);
  draw();
}

export function add(request) {
  const second = Math.floor(request.at);
  const count = counts.get(second) ?? [0, 0];
  // A fault of status 429 is one too, whoever looks at the strip.
  count[request.refused || request.status === 429 ? 1 : 0] += 1;
  counts.set(second, count);
  draw();
}

const draw = eachFrame(() => {
  const last = Math.floor(now());
  for (const second of counts.keys()) if (second <= last - SECONDS) counts.delete(second);
  const shown = [...counts].filter(([second]) => second <= last);
  const most = Math.max(...shown.map(([, [taken, refused]]) => taken + refused), (ceiling ?? 0) * 1.25, 4);
  const height = (count) => (count / most) * (HEIGHT - 2);
  const step = WIDTH / SECONDS;
  const shapes = [svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 })];
  for (const [second, [taken, refused]] of shown) {
    const x = WIDTH - (last - second + 1) * step + 1;
    const bar = (kind, count, from) =>
      svg("rect", { class: kind, x, width: step - 2, y: HEIGHT - height(from + count), height: height(count), rx: 1 });
    if (taken) shapes.push(bar("taken", taken, 0));
    if (refused) shapes.push(bar("refused", refused, taken));
  }
  if (ceiling !== null) {
    const y = HEIGHT - height(ceiling);
    shapes.push(svg("line", { class: "ceiling", x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
  const total = shown.reduce((sum, [, [taken, refused]]) => sum + taken + refused, 0);
  const refused = shown.reduce((sum, [, count]) => sum + count[1], 0);
  const strip = byId("strip");
  strip.replaceChildren(...shapes);
  strip.setAttribute("aria-label", `${total} requests in the last minute, ${refused} of them refused with 429`);
  byId("strip-total").textContent = number.format(total);
  byId("strip-word").textContent = total === 1 ? "request" : "requests";
  byId("strip-refused").textContent = number.format(refused);
  byId("strip-refused-line").hidden = refused === 0;
});
