// The lines that connect a program: the tokens stay dots until they are asked for.

import { call } from "./api.js";
import { byId } from "./dom.js";

let variables = [];
let problem = "";
let clear = false;

const line = ({ name, value, secret }, shown) => `export ${name}=${secret && !shown ? "•".repeat(12) : value}`;
const lines = (shown) => variables.filter((each) => each.value !== null).map((each) => line(each, shown)).join("\n");

export function start() {
  byId("connect").addEventListener("click", async () => {
    [variables, problem] = await call("GET", "environment").then(
      (answer) => [answer.variables, ""],
      (error) => [[], error.message],
    );
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
  for (const id of ["exports", "reveal", "copy"]) byId(id).hidden = problem !== "";
  byId("exports-note").hidden = kept.length === 0 && problem === "";
  byId("exports-note").textContent = problem || `${kept.join(" and ")} came from the environment of the sandbox and is not shown.`;
}
