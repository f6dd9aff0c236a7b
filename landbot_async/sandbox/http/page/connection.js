// The lines that connect a program: the tokens stay dots until they are asked for.

import { call } from "./api.js";
import { byId } from "./dom.js";

let variables = [];
let clear = false;

const line = ({ name, value, secret }, shown) => `export ${name}=${secret && !shown ? "•".repeat(12) : value}`;
const lines = (shown) => variables.filter((each) => each.value !== null).map((each) => line(each, shown)).join("\n");

export function start() {
  byId("connect").addEventListener("click", async () => {
    variables = (await call("GET", "environment")).variables;
    clear = false;
    draw();
    byId("connection").showModal();
  });
  byId("reveal").addEventListener("click", () => {
    clear = !clear;
    draw();
  });
  byId("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(`${lines(true)}\n`);
    byId("copy").textContent = "Copied";
    byId("copied").textContent = "Copied to the clipboard";
  });
  byId("connection").addEventListener("close", () => {
    clear = false;
    byId("exports").textContent = "";
  });
}

function draw() {
  byId("exports").textContent = lines(clear);
  byId("reveal").textContent = clear ? "Hide the tokens" : "Show the tokens";
  byId("reveal").setAttribute("aria-pressed", String(clear));
  byId("copy").textContent = "Copy";
  byId("copied").textContent = "";
  const kept = variables.filter((each) => each.value === null).map((each) => each.name);
  byId("exports-note").hidden = kept.length === 0;
  byId("exports-note").textContent = `${kept.join(" and ")} came from the environment of the sandbox and is not shown.`;
}
