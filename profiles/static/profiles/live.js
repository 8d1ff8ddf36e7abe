// Fetches the live parts of a page again while something moves; then loads the page once more.
// The answer is the inside of #live, or elements with data-part="id", each the new inside of the element with that id.
// It asks less and less often while nothing changes or nothing answers, and not at all while nobody looks.
(() => {
  const SOONEST = 1500, LATEST = 15000;
  const live = document.getElementById("live");
  if (!live || live.dataset.moving !== "yes") return;
  let wait = SOONEST, before = "";

  const put = (place, html) => {
    // Whatever has the focus is being read or pressed: it stays as it is.
    if (!place || place.contains(document.activeElement)) return;
    const open = [...place.querySelectorAll("details[id][open]")].map((one) => one.id);
    place.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  };
  const show = (html) => {
    const parts = new DOMParser().parseFromString(html, "text/html").querySelectorAll("[data-part]");
    if (!parts.length) return put(live, html);
    for (const part of parts) put(document.getElementById(part.dataset.part), part.innerHTML);
  };
  const again = async () => {
    if (document.hidden) return document.addEventListener("visibilitychange", again, { once: true });
    try {
      const answer = await fetch(live.dataset.url, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      if (answer.headers.get("X-Moving") !== "yes") return location.reload();
      const html = await answer.text();
      wait = html === before ? Math.min(wait * 1.5, LATEST) : SOONEST;
      if (html !== before) show(html);
      before = html;
    } catch {
      // The next try may work; the page stays as it was.
      wait = Math.min(wait * 2, LATEST);
    }
    setTimeout(again, wait);
  };
  setTimeout(again, 1000);
})();
