// The control path: requests, and the stream of events. The run's token came with the page and goes in a header.

const token = document.querySelector('meta[name="sandbox-token"]').content;

/** Send a request to the sandbox; return the JSON of its response or throw an Error with its reason. */
export async function call(method, path, body) {
  const asked = fetch(`/_sandbox/${path}`, {
    method,
    headers: { "X-Sandbox-Token": token, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
  });
  const response = await asked.catch(() => {
    throw new Error("The sandbox does not answer. Is it still running?");
  });
  if (response.status === 401) startedAnew();
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/**
 * Follow the events after the one numbered `last`, for ever: a broken connection is made again and continues where it
 * broke. `EventSource` cannot send the token's header, so the stream is read here.
 */
export async function follow(last, { onEvent, onLive }) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 5000)) {
    try {
      const response = await fetch("/_sandbox/events", {
        headers: { "X-Sandbox-Token": token, "Last-Event-ID": String(last) },
        cache: "no-store",
      });
      if (response.status === 401) startedAnew();
      if (!response.ok) throw new Error(`status ${response.status}`);
      onLive(true);
      wait = 125;
      for await (const event of events(response.body)) {
        last = event.number;
        onEvent(event);
      }
    } catch (error) {
      console.debug("the stream broke:", error);
    }
    onLive(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// Another run has another token, which a new page brings; what was being typed is kept.
function startedAnew() {
  sessionStorage.setItem("draft", document.getElementById("write").value);
  location.reload();
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.data) yield { number: Number(fields.id), kind: fields.event, ...JSON.parse(fields.data) };
    }
  }
}
