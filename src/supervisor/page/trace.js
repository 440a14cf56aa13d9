"use strict";
// The messages of one request, as the servers have recorded them: a column a server, an arrow a
// message, in the order in which they were sent.

const COLUMN = 150;
const ROW = 26;
const TOP = 34;
const RACE_MS = 400;
let trace = null;

/** What a message is for, by method and path, and by the kind of a server at one of its ends. */
const MEANINGS = [
  [/^PUT \/(batch\/)?buy/, "order", "sells one copy for this order, and no second one for the same order"],
  [/^PUT \/(batch\/)?buy/, "", "buys one copy"],
  [/^(GET|PUT) \/(query\/item|batch\/query)/, "order", "reads the book and its version"],
  [/^PUT \/(update|batch\/update)/, "", "writes the book, if it is still at the version that was read"],
  [/^GET \/query\/item/, "", "reads the book, since it is not in the cache"],
  [/^GET \/query\/topic/, "", "searches, since the answer is not in the cache"],
  [/^GET \/(lookup|search)/, "", "asks"],
  [/^PUT \/rep\/check/, "", "asks whether the other has a newer copy"],
  [/^PUT \/rep\/update/, "", "puts the new copy on the other's disk, as tentative"],
  [/^DELETE \/invalidate/, "", "makes the front-end drop what it has cached of it"],
  [/^PUT \/rep\/confirm/, "", "says that the copy is valid now"],
  [/^PUT \/rep\/get/, "", "asks for the newest copy that the other knows of"],
  [/^PUT \/rep\/claim/, "", "brings the newest copy, as it is, to the other"],
];

function meaning(from, to, name) {
  const kinds = [from, to].map((end) => state.servers.find((one) => one.name === end)?.kind);
  const found = MEANINGS.find(([pattern, kind]) =>
    pattern.test(name) && (!kind || kinds.includes(kind)));
  return found?.[2] ?? "";
}

/** A traceparent for one request, sampled, and its trace's id. */
function newTrace() {
  const hex = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)),
    (byte) => byte.toString(16).padStart(2, "0")).join("");
  const id = hex(16);
  return { id, traceparent: `00-${id}-${hex(8)}-01` };
}

/** The spans of a trace at every server that answers, and at this page's own. */
async function spansOf(id) {
  const own = ask("GET", `/traces/${id}`).then((answer) => ["customer", answer.spans]);
  const others = state.servers.filter((one) => one.look.answers).map(async (one) => {
    const answer = await ask("POST", `/request/${one.name}/GET/traces/${id}`);
    return [one.name, answer.body?.spans ?? []];
  });
  const settled = await Promise.allSettled([own, ...others]);
  return settled.flatMap((one) => one.value ? [one.value] : []);
}

/** The messages of a trace, in order. */
async function messagesOf(id) {
  const all = await spansOf(id);
  const received = new Map();
  for (const [, spans] of all) {
    for (const span of spans) if (span.kind === "server") received.set(span.parent, span.attributes);
  }
  const messages = all.flatMap(([from, spans]) => spans
    .filter((span) => span.kind === "client")
    .map((span) => ({
      from,
      to: nameOf(span.attributes.peer ?? ""),
      name: span.name,
      start: span.start / 1e6,
      end: span.end / 1e6,
      status: span.attributes.status ?? span.attributes.error ?? "no answer",
      saw: received.get(span.span) ?? {},
    })));
  return messages.sort((a, b) => a.start - b.start);
}

function svgElement(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

function drawTrace() {
  const { messages, names, shown } = trace;
  const height = TOP + ROW * messages.length + 10;
  const x = (name) => COLUMN * (names.indexOf(name) + .5);
  const parts = names.flatMap((name) => [
    svgElement("text", { x: x(name), y: 18, class: "column" }, name),
    svgElement("line", { x1: x(name), x2: x(name), y1: 26, y2: height, class: "life" }),
  ]);
  messages.slice(0, shown).forEach((one, n) => {
    const [a, b, y] = [x(one.from), x(one.to), TOP + ROW * (n + 1) - 6];
    const tip = a < b ? -7 : 7;
    const cls = n === shown - 1 ? "arrow last" : "arrow";
    parts.push(svgElement("path", { class: cls,
      d: `M${a} ${y}H${b}M${b + tip} ${y - 4}L${b} ${y}L${b + tip} ${y + 4}` }));
    parts.push(svgElement("text", { x: (a + b) / 2, y: y - 4, class: "label" }, one.name));
  });
  const svg = byId("trace-svg");
  svg.setAttribute("viewBox", `0 0 ${COLUMN * names.length} ${height}`);
  svg.setAttribute("width", COLUMN * names.length);
  svg.setAttribute("height", height);
  svg.replaceChildren(...parts);
  const first = messages[0]?.start ?? 0;
  byId("trace-list").replaceChildren(...messages.slice(0, shown).map((one) => {
    const { state: copy, version, cache, outcome } = one.saw;
    const about = [`status ${one.status}`, copy, version && `number ${version.split("-")[0]}`,
      cache && `cache: ${cache}`, outcome].filter(Boolean).join(", ");
    const what = meaning(one.from, one.to, one.name);
    return make("li", "", `${(one.start - first).toFixed(1)} ms: ${one.from} → ${one.to}, ${one.name}`,
      what ? `: ${what}` : "", make("span", "soft", ` (${about}; ${(one.end - one.start).toFixed(1)} ms)`));
  }));
  byId("trace-back").disabled = shown <= 1;
  byId("trace-step").disabled = shown >= messages.length;
}

/** Waits until the servers have recorded the whole request, and shows all its messages. */
async function showTrace(id, title) {
  await sleep(RACE_MS);
  const messages = await messagesOf(id);
  const used = new Set(messages.flatMap((one) => [one.from, one.to]));
  const order = ["customer", ...["front-end", "order", "catalog"].flatMap((kind) =>
    state.servers.filter((one) => one.kind === kind).map((one) => one.name))];
  trace = { messages, names: order.filter((name) => used.has(name)), shown: messages.length, playing: 0 };
  byId("trace-empty").hidden = true;
  byId("trace-view").hidden = false;
  byId("trace-title").textContent = messages.length ? title : `${title}: no message was recorded`;
  drawTrace();
}

function step(by) {
  trace.playing += 1;
  trace.shown = Math.min(trace.messages.length, Math.max(1, trace.shown + by));
  drawTrace();
}

/** Shows each message when it was sent, slower by the factor that is chosen. */
async function play() {
  const { messages } = trace;
  const [own, slower] = [trace.playing += 1, Number(byId("trace-speed").value)];
  trace.shown = 0;
  for (const [n, one] of messages.entries()) {
    const before = messages[Math.max(0, n - 1)];
    await sleep(Math.min(4000, (one.start - before.start) * slower));
    if (trace.playing !== own || trace.messages !== messages) return;
    trace.shown = n + 1;
    drawTrace();
  }
}

/** Sends a request of the page's own, and shows its messages. */
async function sendTraced(method, path) {
  const { id, traceparent } = newTrace();
  const name = state.servers.find((one) => one.kind === "front-end").name;
  const answer = await ask("POST", `/request/${name}/${method}${path}`, undefined, { traceparent });
  const said = answer.error ?? answer.body?.message ?? "";
  await showTrace(id, `${method} ${path}: ${answer.status || "no answer"}, ${answer.ms.toFixed(1)} ms ${said}`);
}

byId("trace-back").addEventListener("click", () => step(-1));
byId("trace-step").addEventListener("click", () => step(1));
byId("trace-play").addEventListener("click", play);
for (const button of document.querySelectorAll("#trace-send button")) {
  const [method, path] = button.dataset.request.split(" ");
  button.addEventListener("click", () => sendTraced(method, path));
}
