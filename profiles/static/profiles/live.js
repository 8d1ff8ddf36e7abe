// Fetches the live part of a page again while something moves; then loads the page once more.
(() => {
  const live = document.getElementById("live");
  if (!live || live.dataset.moving !== "yes") return;
  const again = async () => {
    try {
      const answer = await fetch(live.dataset.url, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      if (answer.headers.get("X-Moving") !== "yes") return location.reload();
      const focused = document.activeElement && live.contains(document.activeElement);
      if (!focused) live.innerHTML = await answer.text();
    } catch {
      // The next try may work; the page stays as it was.
    }
    setTimeout(again, 1500);
  };
  setTimeout(again, 1000);
})();
