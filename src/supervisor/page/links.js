"use strict";
// The links between servers, which `bazar shop --demo` can cut, slow, or make lose messages.

const CONDITIONS = {
  open: ["● open", "heal"], cut: ["✕ cut", "cut"], slow: ["◌ slow", "slow"], lossy: ["◐ loses", "lose"],
};
const linkPath = ([a, b], command) => `/links/${a}/${b}/${command}`;

/** The link between two servers. */
function linkBetween(one, other) {
  return state.links?.find(({ ends }) => ends.includes(one) && ends.includes(other));
}

function linkCard({ ends }) {
  const id = `link-${ends.join("-")}`;
  const known = byId(id);
  if (known) return known;
  const card = byId("link").content.firstElementChild.cloneNode(true);
  const name = ends.join(" — ");
  card.id = id;
  card.setAttribute("aria-label", name);
  card.querySelector(".name").textContent = name;
  card.querySelector("summary").setAttribute("aria-label", `As commands: ${name}`);
  setText(card.querySelector("pre"), ["cut", "slow", "lose", "heal"]
    .map((command) => curl("POST", linkPath(ends, command))).join("\n"));
  for (const button of card.querySelectorAll("button")) {
    button.setAttribute("aria-label", `${button.textContent} ${name}`);
    button.addEventListener("click", () => attempt(async () => {
      await ask("POST", linkPath(ends, button.dataset.command));
      await poll();
    }));
  }
  byId("link-list").append(card);
  return card;
}

function showLinks() {
  byId("links").hidden = !state.links;
  for (const link of state.links ?? []) {
    const card = linkCard(link);
    const [text, command] = CONDITIONS[link.condition];
    card.className = `card link ${link.condition}`;
    setText(card.querySelector(".pill"), text);
    for (const button of card.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.command === command));
    }
  }
}
