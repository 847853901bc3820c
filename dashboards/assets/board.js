// Keeps the board fresh every five seconds without losing the reader's place, and says so when it cannot:
// a wall that has stopped must not look calm.
"use strict";
(() => {
  const everyMs = 5000;
  const answerMs = 4500;
  let freshAt = Date.now();

  function stale() {
    let banner = document.getElementById("stale");
    if (!banner) {
      banner = document.createElement("p");
      banner.id = "stale";
      banner.className = "banner bad";
      banner.setAttribute("role", "alert");
      document.getElementById("main").before(banner);
    }
    const seconds = Math.round((Date.now() - freshAt) / 1000);
    banner.textContent = "▲ No answer from the node for " + seconds + " s: this board is out of date.";
    document.body.classList.add("stale");
  }

  function swap(html) {
    const next = new DOMParser().parseFromString(html, "text/html");
    const main = next.getElementById("main");
    const head = next.querySelector("header.top .node");
    if (!main || !head) throw new Error("not the board");
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    document.getElementById("main").replaceWith(main);
    document.querySelector("header.top .node").replaceWith(head);
    document.title = next.title;
    if (focused) {
      for (const link of document.querySelectorAll("a[href]")) {
        if (link.getAttribute("href") === focused) { link.focus({ preventScroll: true }); break; }
      }
    }
  }

  async function refresh() {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(answerMs) });
      if (!answer.ok) throw new Error("status " + answer.status);
      swap(await answer.text());
      freshAt = Date.now();
      document.getElementById("stale")?.remove();
      document.body.classList.remove("stale");
    } catch (_) {
      stale();
    }
    setTimeout(refresh, everyMs);
  }
  setTimeout(refresh, everyMs);
})();
