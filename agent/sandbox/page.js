"use strict";

const PERIOD_MS = 2000;
const MOST_CARDS = 60;

const cards = document.getElementById("cards");
const count = document.getElementById("count");
const empty = document.getElementById("empty");
let last = Number(document.body.dataset.last);

async function refresh() {
  const answer = await fetch(`/_sandbox/cards?since=${last}`, { signal: AbortSignal.timeout(10000) });
  const news = await answer.json();
  if (news.last < last || news.count < Number(count.textContent)) {
    cards.replaceChildren(); // emptied, or another sandbox: start over
    last = 0;
    count.textContent = "0";
    empty.hidden = false;
    return news.count === 0 ? undefined : refresh();
  }
  cards.insertAdjacentHTML("afterbegin", news.html);
  while (cards.children.length > MOST_CARDS) {
    cards.lastElementChild.remove();
  }
  last = news.last;
  count.textContent = news.count;
  empty.hidden = news.count > 0;
}

async function poll() {
  try {
    if (!document.hidden) {
      await refresh();
    }
    document.body.removeAttribute("data-lost");
  } catch {
    document.body.dataset.lost = ""; // the sandbox is down; it may come back
  }
  setTimeout(poll, PERIOD_MS);
}

setTimeout(poll, PERIOD_MS);
