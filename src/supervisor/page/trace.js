"use strict";
// The messages of one request, as the servers have recorded them: a column a server, an arrow a
// message, in the order in which they were sent.

const COLUMN = 150;
const ROW = 26;
const TOP = 34;
const RACE_MS = 400;

/** Boxes that are further apart have others between them. */
const GAP_MAX = 60;

/** All members of etcd. They have a column in the diagram, and no box. */
const ETCD = "etcd";
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
  [/^PUT \/hold/, "", "makes the front-end drop what it has cached of it, and keep nothing of it for now"],
  [/^PUT \/release/, "", "says that the change has ended: the front-end may keep the book again"],
  [/^POST \/v3\/kv\/txn/, "", "reads from etcd, or changes what is there if it is as compared"],
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
      to: /^POST \/v3\//.test(span.name) ? ETCD : nameOf(span.attributes.peer ?? ""),
      name: span.name,
      span: span.span,
      parent: span.parent ?? "none",
      start: span.start / 1e6,
      end: span.end / 1e6,
      sent: span.attributes,
      status: span.attributes.status ?? span.attributes.failure ?? "no answer",
      saw: received.get(span.span) ?? {},
    })));
  messages.sort((a, b) => a.start - b.start);
  for (const one of messages) one.at = one.start - messages[0].start;
  return messages;
}

function svgElement(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

/** What is known of a message: as it was sent and answered, and what the servers have recorded. */
function detail(one) {
  const { request, response, ...sent } = one.sent;
  const known = Object.entries({ ...sent, ...one.saw }).map(([name, value]) =>
    [name === "peer" ? "sent to" : name.replace("_", " "), Array.isArray(value) ? value.join(", ") : String(value)]);
  const rows = [["sent", `${one.at.toFixed(2)} ms after the first`],
    ["answered", `${(one.end - one.start).toFixed(2)} ms later`],
    ...known, ["trace", trace.id], ["span, parent", `${one.span}, ${one.parent}`]];
  const list = make("dl", "", ...rows.map(([name, value]) =>
    make("div", "", make("dt", "", name), make("dd", "", value))));
  const texts = [["Request", request], ["Response", response ?? `none: ${one.status}`]];
  const shown = texts.map(([title, text]) => make("div", "", make("p", "soft", title), make("pre", "words", text ?? "")));
  return [make("div", "exchange", ...shown), list];
}

function sentence(one) {
  const what = meaning(one.from, one.to, one.name);
  return `${one.from} → ${one.to}, ${one.name}${what ? `: ${what}` : ""}`;
}

function listItem(one) {
  const { state: copy, version, cache, outcome } = one.saw;
  const about = [`status ${one.status}`, copy, version && `number ${version.split("-")[0]}`,
    cache && `cache: ${cache}`, outcome].filter(Boolean).join(", ");
  const summary = make("summary", "", `${one.at.toFixed(1)} ms: ${sentence(one)}`,
    make("span", "soft", ` (${about}; ${(one.end - one.start).toFixed(1)} ms)`));
  return make("li", "", make("details", "", summary, ...detail(one)));
}

function drawDiagram() {
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
    const group = svgElement("g", { class: n === shown - 1 ? "message last" : "message" });
    group.append(
      svgElement("path", { class: "hit", d: `M${a} ${y - 6}H${b}` }),
      svgElement("path", { class: "arrow", d: `M${a} ${y}H${b}M${b + tip} ${y - 4}L${b} ${y}L${b + tip} ${y + 4}` }),
      svgElement("text", { x: (a + b) / 2, y: y - 4, class: "label" }, one.name));
    // For the mouse; by the keyboard the list is opened.
    group.addEventListener("click", () => openDetail(n));
    parts.push(group);
  });
  const svg = byId("trace-svg");
  svg.setAttribute("viewBox", `0 0 ${COLUMN * names.length} ${height}`);
  svg.setAttribute("width", COLUMN * names.length);
  svg.setAttribute("height", height);
  svg.replaceChildren(...parts);
}

function openDetail(n) {
  const item = byId("trace-list").children[n];
  item.querySelector("details").open = true;
  item.querySelector("summary").focus();
}

/** Shows the first messages, so many as `trace.shown` says. */
function drawTrace() {
  const { messages, shown } = trace;
  drawDiagram();
  [...byId("trace-list").children].forEach((item, n) => { item.hidden = shown <= n; });
  const last = messages[shown - 1];
  setText(byId("trace-now"), last ? `${shown} of ${messages.length}: ${sentence(last)}.` : "");
  for (const [id, off] of [["trace-back", shown <= 1], ["trace-step", shown >= messages.length]]) {
    // As with the servers' buttons: what has the focus keeps it.
    byId(id).disabled = off && document.activeElement !== byId(id);
    byId(id).setAttribute("aria-disabled", String(off));
  }
  drawArrows();
}

/** The box of a server, or of the customers. */
const boxOf = (name) => byId(`card-${name}`) ?? document.querySelector(".customers");

/** Where an arrow between two boxes begins and ends, and its path. */
function wayBetween(from, to) {
  const frame = byId("arrows").getBoundingClientRect();
  const [a, b] = [from, to].map((name) => boxOf(name).getBoundingClientRect());
  const [ya, yb] = [a.top - frame.top + 26, b.top - frame.top + 26];
  const side = a.right <= b.left ? ["right", "left"] : b.right <= a.left ? ["left", "right"] : ["left", "left"];
  const [xa, xb] = [a[side[0]] - frame.left, b[side[1]] - frame.left];
  if (side[0] === side[1] && GAP_MAX < xb - xa) {
    // From a wide box, up beside the other one.
    return { d: `M${xb - 10} ${a.top - frame.top}V${yb}H${xb}`, xb, yb, tip: -6 };
  }
  if (side[0] === side[1]) {
    const out = Math.max(2, Math.min(xa, xb) - 12);
    return { d: `M${xa} ${ya}H${out}V${yb}H${xb}`, xb, yb, tip: -6 };
  }
  const tip = xa < xb ? -6 : 6;
  if (Math.abs(xb - xa) < GAP_MAX) {
    return { d: `M${xa} ${ya}H${(xa + xb) / 2}V${yb}H${xb}`, xb, yb, tip };
  }
  // Over the boxes between them, not through them.
  const over = Math.min(...[...document.querySelectorAll(".tier > h2")]
    .map((heading) => heading.getBoundingClientRect().bottom)) - frame.top;
  return { d: `M${xa} ${ya}H${xa - 1.5 * tip}V${over}H${xb + 2 * tip}V${yb}H${xb}`, xb, yb, tip };
}

function arrow(cls, from, to) {
  const { d, xb, yb, tip } = wayBetween(from, to);
  const group = svgElement("g", { class: cls });
  group.append(svgElement("path", { class: "way", d }),
    svgElement("path", { class: "tip", d: `M${xb + tip} ${yb - 5}L${xb} ${yb}L${xb + tip} ${yb + 5}` }));
  return group;
}

/** The messages up to now between the boxes: the last one strong, the earlier ones faint. */
function drawArrows() {
  const svg = byId("arrows");
  const shown = trace?.messages.slice(0, trace.shown) ?? [];
  const between = shown.filter((one) => one.to !== ETCD);
  const last = shown.at(-1)?.to === ETCD ? undefined : shown.at(-1);
  const ends = last ? [boxOf(last.from), boxOf(last.to)] : [];
  for (const box of document.querySelectorAll(".tiers .card")) box.classList.toggle("talks", ends.includes(box));
  const earlier = new Map(between.filter((one) => one !== last).map((one) => [`${one.from} ${one.to}`, one]));
  if (last) earlier.delete(`${last.from} ${last.to}`);
  const key = JSON.stringify([[...earlier.keys()], last?.from, last?.to, trace?.shown,
    ...[...document.querySelectorAll(".tiers .card")].map((box) => [box.offsetLeft, box.offsetTop])]);
  // Drawn again only when something has moved: the last arrow's motion would begin anew.
  if (svg.dataset.key === key) return;
  svg.dataset.key = key;
  svg.replaceChildren(...[...earlier.values()].map((one) => arrow("earlier", one.from, one.to)),
    ...(last ? [arrow("now", last.from, last.to)] : []));
}

/** Waits until the servers have recorded the whole request, and shows all its messages. */
async function showTrace(id, title) {
  await sleep(RACE_MS);
  const messages = await messagesOf(id);
  const used = new Set(messages.flatMap((one) => [one.from, one.to]));
  const order = ["customer", ...["front-end", "order", "catalog"].flatMap((kind) =>
    state.servers.filter((one) => one.kind === kind).map((one) => one.name)), ETCD];
  trace = { id, messages, names: order.filter((name) => used.has(name)), shown: messages.length, playing: 0 };
  byId("trace-empty").hidden = true;
  byId("trace-title").hidden = false;
  for (const part of ["trace-view", "trace-player", "trace-now"]) byId(part).hidden = !messages.length;
  byId("trace-title").textContent = messages.length ? title : `${title}: no message was recorded`;
  byId("trace-list").replaceChildren(...messages.map(listItem));
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
  await showTrace(id, `${method} ${path}: ${answer.status || "no answer"}, ${answer.ms.toFixed(1)} ms. ${said}`);
}

new ResizeObserver(() => drawArrows()).observe(document.querySelector(".tiers"));
byId("trace-back").addEventListener("click", () => step(-1));
byId("trace-step").addEventListener("click", () => step(1));
byId("trace-play").addEventListener("click", play);
for (const button of document.querySelectorAll("#trace-send button")) {
  const [method, path] = button.dataset.request.split(" ");
  button.addEventListener("click", () => attempt(() => sendTraced(method, path)));
}
