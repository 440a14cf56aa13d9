"use strict";
// Asks for /state twice a second and shows it. Text of the shop is only ever text.

const POLL_MS = 500;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const byId = (id) => document.getElementById(id);
let state = null;
let lastEvent = 0;
const versions = new Map();

/** An element with a class and children. */
function make(tag, cls, ...children) {
  const element = document.createElement(tag);
  if (cls) element.className = cls;
  element.append(...children);
  return element;
}

/** Does what somebody asked for, and says so above if it fails. */
async function attempt(work) {
  byId("failed").hidden = true;
  try {
    await work();
  } catch (failure) {
    setText(byId("failed"), `That was not done: ${failure.message}`);
    byId("failed").hidden = false;
  }
}

/** Sends a request to bazar shop. Returns its JSON, or throws with what it said. */
async function ask(method, path, body, headers) {
  const answer = await fetch(path, { method, body, headers });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.message || `status ${answer.status}`);
  return json;
}

const server = (name) => state.servers.find((one) => one.name === name);
const nameOf = (address) => {
  const known = state.servers.find((one) => one.known_as === address);
  return known ? known.name : address;
};
const curl = (method, path) =>
  `curl -X ${method} '${location.origin}${path}'`;

/** The metrics of one family, by the value of their label. */
function labelled(metrics, family, label) {
  const start = `${family}{${label}="`;
  return Object.entries(metrics)
    .filter(([name]) => name.startsWith(start))
    .map(([name, value]) => [name.slice(start.length, -2), value]);
}

function fact(good, text) {
  return make("span", good ? "" : "no", `${good ? "✓" : "✕"} ${text}`);
}

function facts(one) {
  const { metrics, answers, ready } = one.look;
  if (!answers) return [];
  const list = [];
  for (const [peer, live] of labelled(metrics, "bazar_peer_live", "peer")) {
    list.push(fact(live === 1, `${nameOf(peer)} ${live ? "live" : "not live"}`));
  }
  if ("bazar_lease" in metrics) {
    const lease = metrics.bazar_lease === 1;
    list.push(fact(lease, lease ? "lease holds" : "no lease"));
  }
  if ("bazar_caught_up" in metrics) {
    const caughtUp = metrics.bazar_caught_up === 1;
    list.push(fact(caughtUp, caughtUp ? "caught up" : "not caught up"));
  }
  for (const [peer, waits] of labelled(metrics, "bazar_waits_for", "peer")) {
    if (waits === 1) list.push(fact(false, `waits for ${nameOf(peer)}`));
  }
  if (one.kind === "order") {
    const n = state.servers.filter((other) => other.kind === "order").indexOf(one);
    const catalogs = state.servers.filter((other) => other.kind === "catalog");
    const { name } = catalogs[n % catalogs.length];
    return [fact(ready, ready ? `asks ${name}` : `asks ${name}, which is not ready`)];
  }
  for (const [tier, up] of labelled(metrics, "bazar_servers_up", "tier")) {
    const all = state.servers.filter((other) => other.kind === tier).length;
    list.push(fact(up === all, `sees ${up} of ${all} ${tier === "order" ? "order servers" : "catalogs"}`));
  }
  return list;
}

function row(cls, ...cells) {
  return make("tr", cls, ...cells.map((cell) =>
    cell instanceof Node ? cell : make("td", "", String(cell))));
}

function table(heads, rows) {
  const head = make("tr", "", ...heads.map((text) => {
    const th = make("th", "", text);
    th.scope = "col";
    if (text === "in the dictionary") th.className = "text";
    return th;
  }));
  return make("table", "", make("thead", "", head), make("tbody", "", ...rows));
}

function booksTable(one) {
  const rows = one.look.books.map((book) => {
    const key = `${one.name} ${book.id}`;
    const changed = versions.has(key) && versions.get(key) !== book.version;
    versions.set(key, book.version);
    const id = make("td", "", String(book.id));
    id.title = book.title;
    const cls = book.right === false ? "wrong" : changed ? "changed" : "";
    return row(cls, id, book.version.split("-")[0], book.quantity,
      make("td", "", make("span", `state ${book.state}`, book.state)));
  });
  return rows.length ? [table(["book", "sequence", "stock", "state"], rows)] : [];
}

/** A cache as it is: the dictionary by key, and the list, least recently used first. */
function cacheView(title, entries, max, key, value) {
  const keys = entries.map(key);
  const list = make("p", "list", "list ", ...keys.map((text, n) =>
    make("span", n === 0 ? "oldest" : "", text)));
  if (!keys.length) list.append("empty");
  else list.append(keys.length < max ? " room for more" : ` ${keys[0]} goes next`);
  const sorted = entries.map((entry) => [key(entry), value(entry)])
    .sort((a, b) => a[0].localeCompare(b[0], undefined, { numeric: true }));
  const rows = sorted.map(([name, text]) =>
    row("", make("td", "", name), make("td", "text", text)));
  const parts = [make("h4", "", `${title}: ${keys.length} of ${max}`), list];
  if (rows.length) parts.push(table(["key", "in the dictionary"], rows));
  return parts;
}

function caches(one) {
  const { caches: dump } = one.look;
  if (!dump) return [];
  const [lookups, searches] = state.caches_max;
  const isByTitle = (entry) => entry.by === "title";
  const voidWith = (entry) => isByTitle(entry) ? "any topic" : [...entry.topics].join(", ") || "nothing";
  return [
    ...cacheView("Look-ups", dump.lookup, lookups, (entry) => String(entry.id),
      (entry) => `${entry.quantity} left, $${entry.price}`),
    ...cacheView("Searches", dump.search, searches,
      (entry) => isByTitle(entry) ? `${entry.id} (title)` : entry.id,
      (entry) => `${entry.search_result.length} books; void with ${voidWith(entry)}`),
  ];
}

function shown(one) {
  const parts = [];
  if (one.look.missing.length) {
    parts.push(make("p", "missing", `waits: ${one.look.missing.join("; ")}`));
  }
  if (!one.process && one.last_words.length) {
    parts.push(make("h4", "", "Its last words"));
    parts.push(make("pre", "words", one.last_words.slice(-8).join("\n")));
  }
  if (one.kind === "catalog") parts.push(...booksTable(one));
  if (one.kind === "front-end") parts.push(...caches(one));
  return parts;
}

const SIGNALS = { kill: "KILL", stop: "STOP", continue: "CONT" };

function commands(one) {
  return ["kill", "stop", "continue", "start"].map((action) => {
    const line = curl("POST", `/servers/${one.name}/${action}`);
    const signal = SIGNALS[action];
    return signal && one.process ? `kill -${signal} ${one.process}    # or ${line}` : line;
  }).join("\n");
}

function allowed(one, action) {
  const runs = one.process !== null;
  const stopped = one.state === "stopped";
  return { kill: runs, stop: runs && !stopped, continue: stopped, start: !runs }[action];
}

function cardOf(one) {
  const known = byId(`card-${one.name}`);
  if (known) return known;
  const card = byId("server").content.firstElementChild.cloneNode(true);
  card.id = `card-${one.name}`;
  card.querySelector(".name").textContent = one.name;
  card.setAttribute("aria-label", one.name);
  card.querySelector(".address").textContent = one.address;
  for (const button of card.querySelectorAll("button")) {
    const { action } = button.dataset;
    button.setAttribute("aria-label", `${button.textContent} ${one.name}`);
    button.addEventListener("click", () => act(card, one.name, action));
  }
  const log = card.querySelector(".log");
  log.addEventListener("toggle", () => log.open && showLog(card, one.name));
  log.querySelector("summary").setAttribute("aria-label", `The log of ${one.name}`);
  card.querySelector(".commands summary").setAttribute("aria-label", `As commands: ${one.name}`);
  byId(one.kind).append(card);
  return card;
}

async function act(card, name, action) {
  const error = card.querySelector(".error");
  error.hidden = true;
  try {
    await ask("POST", `/servers/${name}/${action}`);
  } catch (failure) {
    error.textContent = failure.message;
    error.hidden = false;
  }
  await poll();
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showServer(one) {
  const card = cardOf(one);
  card.className = `card server ${one.state.replace(" ", "-")}`;
  let text = one.state;
  if (one.state === "restarting") text = `restarts in ${(one.restarts_in_ms / 1000).toFixed(1)} s`;
  if (one.state === "down" && one.end) text = `down, ${one.end}`;
  setText(card.querySelector(".pill"), text);
  card.querySelector(".facts").replaceChildren(...facts(one));
  card.querySelector(".shown").replaceChildren(...shown(one));
  for (const button of card.querySelectorAll("button")) {
    const can = allowed(one, button.dataset.action);
    // A button that has the focus keeps it: disabling it would throw the keyboard user out.
    button.disabled = !can && document.activeElement !== button;
    button.setAttribute("aria-disabled", String(!can));
  }
  setText(card.querySelector(".commands pre"), commands(one));
  if (card.querySelector(".log").open) showLog(card, one.name);
}

async function showLog(card, name) {
  const { lines } = await ask("GET", `/servers/${name}/log`).catch(() => ({ lines: [] }));
  setText(card.querySelector(".log pre"), lines.join("\n") || "Nothing yet.");
}

function mustBe(count) {
  const most = count.start + count.added - count.sold - count.others;
  return count.unknown ? `${most - count.unknown} to ${most}` : String(most);
}

function showAccount() {
  const entries = Object.entries(state.account).sort((a, b) => a[0] - b[0]);
  const catalogs = state.servers.filter((one) => one.kind === "catalog");
  const shownBooks = catalogs.flatMap((one) => one.look.books);
  byId("account").tBodies[0].replaceChildren(...entries.flatMap(([id, count]) => {
    const title = shownBooks.find((book) => String(book.id) === id)?.title ?? "";
    const head = make("td", "title", `${id} ${title}`);
    head.colSpan = 5;
    return [row("titles", head),
      row("counts", count.start, count.added, count.sold, count.others, mustBe(count))];
  }));
  const judged = catalogs.filter((one) => one.look.books.some((book) => book.right !== null));
  const wrong = judged.filter((one) => one.look.books.some((book) => book.right === false));
  const sum = byId("sum");
  sum.className = `sum ${wrong.length ? "false" : judged.length ? "true" : ""}`;
  const all = catalogs.length === 2 ? "both replicas" : `all ${catalogs.length} replicas`;
  const where = judged.length === catalogs.length ? `on ${all}`
    : `on ${judged.length} of ${catalogs.length} replicas; the others cannot tell now`;
  setText(sum, wrong.length
    ? `✕ stock + sold is not start, on ${wrong.map((one) => one.name).join(" and ")}`
    : judged.length ? `✓ stock + sold = start, ${where}` : "no replica can tell its stock now");
}

const SVG = "http://www.w3.org/2000/svg";

function curve(svg, lines) {
  const most = Math.max(1, ...lines.flatMap(([, values]) => values));
  svg.replaceChildren(...lines.map(([cls, values]) => {
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("class", cls);
    const first = 120 - values.length;
    line.setAttribute("points", values.map((value, n) =>
      `${(first + n) * 240 / 119},${54 - 50 * value / most}`).join(" "));
    return line;
  }));
}

function showLoad() {
  const { seconds, customers, buys } = state.load;
  const last = customers ? seconds.at(-1) : null;
  setText(byId("rate"), String(last?.requests ?? 0));
  setText(byId("sold"), String(last?.sold ?? 0));
  setText(byId("errors"), String(last?.errors ?? 0));
  setText(byId("p50"), last ? last.p50_ms.toFixed(1) : "–");
  setText(byId("p99"), last ? last.p99_ms.toFixed(1) : "–");
  curve(byId("rate-curve"), [
    ["", seconds.map((one) => one.requests)], ["bad", seconds.map((one) => one.errors)]]);
  curve(byId("latency-curve"), [
    ["", seconds.map((one) => one.p50_ms)], ["second", seconds.map((one) => one.p99_ms)]]);
  for (const [id, value] of [["customers", customers], ["buys", buys]]) {
    if (document.activeElement !== byId(id)) byId(id).value = value;
    setText(byId(`${id}-value`), byId(id).value);
  }
  setText(byId("load-command"), curl("POST",
    `/load?customers=${byId("customers").value}&buys=${byId("buys").value}`));
}

function show() {
  state.servers.forEach(showServer);
  const up = state.servers.filter((one) => one.state === "up").length;
  setText(byId("count"), `${up} of ${state.servers.length} up`);
  byId("shop").href = state.shop[0];
  setText(byId("shop"), state.shop[0]);
  if (document.activeElement !== byId("restarting")) byId("restarting").checked = state.restarting;
  showAccount();
  showLoad();
  showLinks();
  offerStories();
  drawArrows();
}

async function showEvents() {
  const events = await ask("GET", `/events?since=${lastEvent}`);
  const list = byId("events");
  for (const event of events) {
    const time = make("time", "", event.time.slice(11, 19));
    time.dateTime = event.time;
    list.append(make("li", "", time, event.text));
    lastEvent = event.number;
  }
  while (list.children.length > 200) list.firstChild.remove();
  if (events.length) list.scrollTop = list.scrollHeight;
}

async function poll() {
  try {
    state = await ask("GET", "/state");
    // Another process: its events begin with 1 again.
    if (state.event < lastEvent) { lastEvent = 0; byId("events").replaceChildren(); }
    if (lastEvent < state.event) await showEvents();
    byId("offline").hidden = true;
  } catch {
    byId("offline").hidden = false;
    return;
  }
  show();
}

async function pollForever() {
  for (;;) {
    if (!document.hidden) await poll();
    await sleep(POLL_MS);
  }
}

const setLoad = () => attempt(() => ask("POST",
  `/load?customers=${byId("customers").value}&buys=${byId("buys").value}`));
for (const id of ["customers", "buys"]) {
  byId(id).addEventListener("input", () => setText(byId(`${id}-value`), byId(id).value));
  byId(id).addEventListener("change", setLoad);
}
byId("restarting").addEventListener("change", (event) =>
  attempt(() => ask("POST", `/restarting/${event.target.checked ? "on" : "off"}`)));
byId("recount").addEventListener("click", () => attempt(() => ask("POST", "/count")));
byId("restock").addEventListener("click", () => attempt(async () => {
  for (const id of Object.keys(state.account)) await ask("POST", `/restock/${id}?copies=10`);
}));
byId("stock-command").textContent =
  `${curl("POST", "/restock/2?copies=10")}\n${curl("POST", "/count")}`;
// The other scripts are read by then.
document.addEventListener("DOMContentLoaded", pollForever);
