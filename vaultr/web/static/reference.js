// Finds operations and schemas by any words in them, and opens what a link leads to.
"use strict";

const entries = [...document.querySelectorAll(".found")];
const texts = entries.map((entry) => entry.textContent.toLowerCase());

document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  entries.forEach((entry, at) => {
    entry.hidden = !words.every((word) => texts[at].includes(word));
  });
});

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.hidden = false;
    target.open = true;
    target.scrollIntoView();
  }
}

addEventListener("hashchange", openTarget);
openTarget();
