// The shop page. It asks the same API as every other client, and shows its answers as text, never
// as HTML.
"use strict";

/** How long the customer has not typed before the shop is asked. */
const TYPING_PAUSE_MS = 150;
/** So many books at a time; there is a button for more. */
const BOOKS_MAX = 60;
/** Before anything is typed, so many books are shown: of those that have an e somewhere. */
const SHELF_BOOKS_MAX = 12;
const SHELF_TEXT = "e";
/** After this long the customer is told that it takes longer. */
const SLOW_MS = 1500;
/** After this long nothing more is expected. Servers give up sooner. */
const ANSWER_MS = 30000;

const element = (id) => document.getElementById(id);
const input = element("text");

/** The books that were found last, in the order of their ids. */
let books = [];
/** The latest question, and how to end it. Answers to earlier ones are dropped. */
let question = { text: "", abort: new AbortController() };

// ---- The API

/**
 * Sends a request and reads the answer, JSON. Does not throw: without an answer the status is 0.
 */
async function ask(method, path, { headers = {}, signal, onSlow } = {}) {
  const own = new AbortController();
  const late = setTimeout(() => own.abort(), ANSWER_MS);
  signal?.addEventListener("abort", () => own.abort());
  const slow = onSlow && setTimeout(onSlow, SLOW_MS);
  try {
    const response = await fetch(path, {
      method,
      headers: { Accept: "application/json", ...headers },
      signal: own.signal,
    });
    const body = await response.json();
    return { status: response.status, body, outcome: response.headers.get("Bazar-Outcome") };
  } catch {
    return { status: 0, body: null, outcome: null };
  } finally {
    clearTimeout(late);
    clearTimeout(slow);
  }
}

/** What a failed question means for a customer. */
function whyNotFound(status) {
  if (status === 0) {
    return "The shop does not answer. Are you online? Please try again in a moment.";
  }
  if (status < 500) return "The shop does not understand this. Please type something else.";
  return "The shop cannot reach its shelves right now. Please try again in a moment.";
}

/** Shows what went wrong, with the server's own words small below. An empty `text` ends it. */
function showTrouble(where, text, answer) {
  where.replaceChildren();
  if (!text) return;
  const [first, ...others] = text.split(/(?<=\.) /);
  const strong = document.createElement("strong");
  strong.textContent = first;
  where.append(strong, ` ${others.join(" ")}`);
  const message = answer?.body?.message;
  if (message) where.append(document.createElement("br"), small(`The shop’s own words: ${message} (${answer.status})`));
}

function small(text) {
  const line = document.createElement("span");
  line.className = "small";
  line.textContent = text;
  return line;
}

function button(text, onClick) {
  const plain = document.createElement("button");
  plain.type = "button";
  plain.className = "plain";
  plain.textContent = text;
  plain.addEventListener("click", onClick);
  return plain;
}

// ---- Searching

/**
 * Asks for the first books with a text in their topic or in their title, by id. `after` continues
 * behind the book with that id. `isMore`: there may be others. `failed`: an answer that is none.
 */
async function askBooks(text, limit, after, options) {
  const behind = after === null ? "" : `&after=${after}`;
  const what = `${encodeURIComponent(text)}?limit=${limit}${behind}`;
  const places = ["search", "titles"];
  const answers = await Promise.all(places.map((place) => ask("GET", `/${place}/${what}`, options)));
  const failed = answers.find(({ status }) => status !== 200);
  if (failed) return { failed };
  const lists = answers.map(({ body }) => body);
  // A full list says nothing of the books behind its last one.
  const last = Math.min(...lists.map((list) => (list.length < limit ? Infinity : list.at(-1).id)));
  const all = new Map(lists.flat().map((book) => [book.id, book]));
  const books = [...all.values()].filter(({ id }) => id <= last).sort((one, other) => one.id - other.id);
  return { books: books.slice(0, limit), isMore: limit < books.length || last !== Infinity };
}

async function search(text, after = null) {
  question.abort.abort();
  const mine = (question = { text, abort: new AbortController() });
  // A path cannot have these as a segment.
  if (text === "." || text === "..") return found([], "Please type a letter more.", false);
  const answer = await askBooks(text || SHELF_TEXT, text ? BOOKS_MAX : SHELF_BOOKS_MAX, after, {
    signal: mine.abort.signal,
    onSlow: () => mine === question && say("This takes longer than usual. Please wait…"),
  });
  if (mine !== question) return;
  if (answer.failed) {
    say("");
    showTrouble(element("trouble"), whyNotFound(answer.failed.status), answer.failed);
    element("trouble").append(button("Try again", () => search(text, after)));
    return;
  }
  if (text === "") return found(answer.books, welcome(answer.books.length), false);
  const all = after === null ? answer.books : books.concat(answer.books);
  const topics = new Set(all.map((book) => book.topic)).size;
  found(all, count(all.length, topics, answer.isMore, text), answer.isMore);
  if (after !== null) focusBook(answer.books[0]);
}

function count(number, topics, isMore, text) {
  if (number === 0) return `No book has “${text}” in its topic or title. Try a shorter word.`;
  const books = number === 1 ? "1 book" : `${number} books`;
  const among = topics < 2 ? "" : ` in ${topics} topics`;
  return (isMore ? `The first ${books}` : books) + among;
}

function welcome(number) {
  return number === 0
    ? "Type a topic or a title, or a part of it."
    : "A look at our shelves. Type a topic or a title, or a part of it, to find more.";
}

function say(text) {
  element("found").textContent = text;
}

function found(list, text, isMore) {
  books = list;
  showTrouble(element("trouble"), "");
  say(text);
  show();
  element("more").hidden = !isMore;
}

/** Asks when the customer stops typing. */
let typing = 0;
input.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(searchNow, TYPING_PAUSE_MS);
});

element("search").addEventListener("submit", (event) => {
  event.preventDefault();
  searchNow();
});

element("more").addEventListener("click", () => search(question.text, books.at(-1).id));

function searchNow() {
  clearTimeout(typing);
  const text = input.value.trim();
  // So that a reload, or a link, shows the same books.
  history.replaceState(null, "", text ? `?topic=${encodeURIComponent(text)}` : "/");
  return search(text);
}

// ---- Showing books

/** The cards of the books that are shown, by id: an open one stays open while others come. */
let cards = new Map();

function show() {
  const topics = new Map();
  const kept = new Map();
  for (const book of books) {
    const card = cards.get(book.id) ?? newCard(book);
    card.title.textContent = book.title;
    kept.set(book.id, card);
    if (!topics.has(book.topic)) topics.set(book.topic, []);
    topics.get(book.topic).push(card.item);
  }
  cards = kept;
  const names = [...topics.keys()].sort((one, other) => one.localeCompare(other));
  element("topics").replaceChildren(...names.map((name) => section(name, topics.get(name))));
}

function section(name, items) {
  const topic = copyOf("topic");
  topic.querySelector("h2").textContent = name;
  topic.querySelector("ul").append(...items);
  return topic;
}

function copyOf(template) {
  return element(template).content.firstElementChild.cloneNode(true);
}

function newCard(book) {
  const item = copyOf("book");
  const part = (name) => item.querySelector(name);
  const card = { id: book.id, item, title: part(".title"), offer: part(".offer"), isBusy: false };
  Object.assign(card, { buy: part(".buy"), said: part(".said"), trouble: part(".trouble") });
  card.offer.id = `offer-${book.id}`;
  card.title.setAttribute("aria-controls", card.offer.id);
  card.title.addEventListener("click", () => toggle(card));
  card.buy.addEventListener("click", () => buy(card));
  return card;
}

function focusBook(book) {
  if (book) cards.get(book.id).title.focus();
}

function toggle(card) {
  const open = card.offer.hidden;
  card.offer.hidden = !open;
  card.title.setAttribute("aria-expanded", open);
  if (!open) return;
  showButton(card);
  look(card);
}

/** Fetches price and stock, and shows them. `isQuiet`: what was said to the customer stays. */
async function look(card, isQuiet = false) {
  const mine = (card.looks = (card.looks ?? 0) + 1);
  const speaks = () => !isQuiet && !card.isBusy && mine === card.looks;
  const onSlow = () => speaks() && sayAt(card, "This takes longer than usual. Please wait…");
  const answer = await ask("GET", `/lookup/${card.id}`, { onSlow });
  if (mine !== card.looks) return;
  if (speaks()) {
    sayAt(card, "");
    showTrouble(card.trouble, pending(card.id) === null ? "" : UNKNOWN);
  }
  if (answer.status === 200) showOffer(card, answer.body);
  else if (speaks()) showNoOffer(card, answer);
}

function showOffer(card, { price, quantity }) {
  card.price = price;
  card.soldOut = quantity === 0;
  card.item.querySelector(".price").textContent = money(price);
  card.item.querySelector(".stock").textContent = stock(quantity);
  showButton(card);
}

function showNoOffer(card, answer) {
  const isGone = answer.status === 404;
  const why = isGone ? "This book is not sold any more." : whyNotFound(answer.status);
  showTrouble(card.trouble, why, answer);
  if (!isGone) card.trouble.append(button("Try again", () => look(card)));
}

function money(price) {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: 3 };
  return price.toLocaleString("en", digits);
}

function stock(quantity) {
  if (quantity === 0) return "none, sold out";
  return quantity === 1 ? "1 copy, the last" : `${quantity.toLocaleString("en")} copies`;
}

function sayAt(card, ...parts) {
  card.said.replaceChildren(...parts);
}

// ---- Buying

const UNKNOWN =
  "We do not know whether your order arrived. Press “Ask again”: you get one copy, not two.";

/*
 * A click has a key. The shop sells one copy for it, however often it is sent. So as long as it is
 * not certain what came of a click, the next click on this book sends the same key. It is also the
 * order's number. Pending keys outlive a reload.
 */
async function buy(card) {
  if (card.buy.getAttribute("aria-disabled") === "true") return;
  const before = pending(card.id);
  const key = before ?? newKey();
  setPending(card.id, key);
  card.isBusy = true;
  showButton(card);
  showTrouble(card.trouble, "");
  sayAt(card, "Your order is on its way…");
  const slowly = "This takes longer than usual. Please wait: you need not press again.";
  const answer = await ask("PUT", `/buy/${card.id}`, {
    headers: { "Idempotency-Key": key },
    onSlow: () => sayAt(card, slowly),
  });
  card.isBusy = false;
  sayAt(card, "");
  // That this request did nothing says nothing about an earlier one.
  const isFirst = before === null;
  const isOver = isDefinite(answer) || (answer.outcome === "none" && isFirst);
  if (isOver) setPending(card.id, null);
  if (answer.body?.success) bought(card, key);
  else showTrouble(card.trouble, isOver ? whyNotBought(answer) : UNKNOWN, answer);
  showButton(card);
  await look(card, true);
}

/** Whether this answer is the last word about an order. */
function isDefinite({ status }) {
  return 200 <= status && status < 500;
}

function whyNotBought({ status }) {
  if (status === 200) return "Sold out. Somebody was faster, and you have not bought a copy.";
  if (status === 404) return "This book is not sold any more. You have not bought a copy.";
  if (status < 500) return "The shop did not accept this order. Nothing was bought.";
  if (status === 503) {
    return "Many customers want this book just now. Nothing was bought. Please press Buy again.";
  }
  return "The shop cannot take orders right now. Nothing was bought. Please press Buy again soon.";
}

function bought(card, key) {
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = key;
  sayAt(card, "Thank you! Your order’s number: ", number);
  const order = { key, title: card.title.textContent, price: card.price };
  store("orders", [order, ...stored("orders", [])]);
  showOrders();
}

function showButton(card) {
  const isOpen = pending(card.id) !== null;
  const isForSale = card.price !== undefined && !card.soldOut;
  card.buy.setAttribute("aria-disabled", card.isBusy || !(isOpen || isForSale));
  if (card.isBusy) card.buy.textContent = "Ordering…";
  else if (isOpen) card.buy.textContent = "Ask again";
  else card.buy.textContent = card.soldOut ? "Sold out" : "Buy";
}

function showOrders() {
  const orders = stored("orders", []);
  element("orders").hidden = orders.length === 0;
  const line = ({ key, title, price }) => {
    const item = document.createElement("li");
    const [what, number] = [document.createElement("span"), document.createElement("span")];
    what.textContent = price === undefined ? title : `${title}, ${money(price)}`;
    number.className = "number";
    number.textContent = key;
    item.append(what, number);
    return item;
  };
  element("orders").querySelector("ul").replaceChildren(...orders.map(line));
}

/** 80 random bits, without letters that look like digits. */
function newKey() {
  const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const random = crypto.getRandomValues(new Uint8Array(16));
  const text = Array.from(random, (byte) => letters[byte % 32]).join("");
  return text.match(/.{4}/g).join("-");
}

const pending = (id) => stored(`pending ${id}`, null);
const setPending = (id, key) => store(`pending ${id}`, key);

// ---- What this tab remembers. A browser may refuse to: then nothing outlives a reload.

const memory = new Map();

function stored(name, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? memory.get(name) ?? otherwise;
  } catch {
    return memory.get(name) ?? otherwise;
  }
}

function store(name, value) {
  memory.set(name, value);
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Kept in memory only.
  }
}

// ---- The beginning

/** What may have changed while the customer looked elsewhere. */
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const card of cards.values()) {
    if (!card.offer.hidden && !card.isBusy) look(card, true);
  }
});

input.value = new URLSearchParams(location.search).get("topic") ?? input.value;
showOrders();
searchNow();
