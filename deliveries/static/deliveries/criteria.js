// Lets criteria be put together without loading the page again: rows are drawn by the server, as without this script.
// A button or a chosen field sends the rows as they stand; what comes back takes their place, and the focus goes where
// the next thing is to be done. Half a second after the last change, the people meant are counted.
(() => {
  const QUIET = 500;
  const folded = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();

  const start = (box) => {
    const { name } = box.dataset;
    const form = box.closest("form");
    const body = box.querySelector(".c-crit-body"), sum = box.querySelector(".c-crit-sum");
    const said = box.querySelector("[data-said]");
    let timer = 0, asked = null;

    const send = async (url, act, signal) => {
      const data = new FormData();
      for (const [key, value] of new FormData(form)) {
        if (key.startsWith(name + "-") || key === "csrfmiddlewaretoken") data.append(key, value);
      }
      data.append("builder", name);
      if (act) data.set(name + "-do", act);
      const answer = await fetch(url, { method: "POST", body: data, credentials: "same-origin", signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const part = document.createElement("template");
      part.innerHTML = await answer.text();
      return part.content;
    };
    const prepare = () => {
      // Enter in a text must save, not press the first of these buttons.
      for (const button of body.querySelectorAll("button[name]")) button.type = "button";
      for (const filter of body.querySelectorAll(".c-crit-filter")) filter.hidden = false;
    };
    const count = async (quiet) => {
      asked?.abort();
      asked = new AbortController();
      sum.setAttribute("aria-busy", "true");
      try {
        const part = await send(box.dataset.count, "", asked.signal);
        if (!quiet) said.textContent = part.querySelector("[data-told]")?.dataset.told ?? "";
        sum.replaceChildren(part);
        sum.removeAttribute("aria-busy");
      } catch (error) {
        if (error.name === "AbortError") return;
        sum.replaceChildren();
        sum.removeAttribute("aria-busy");
        said.textContent = box.dataset.failed;
      }
    };
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(() => count(false), QUIET);
    };
    const controls = (place) => [...place.querySelectorAll("input[id], select[id], textarea[id]")];
    const held = (one) => (one.type === "checkbox" ? one.checked : one.value);
    const hold = (one, value) => {
      if (one.type === "checkbox") one.checked = value;
      else one.value = value;
    };
    const draw = async (act, id) => {
      const sent = new Map(controls(body).map((one) => [one.id, held(one)]));
      try {
        const part = await send(box.dataset.build, act);
        const old = (id && document.getElementById(id)) || body;
        const fresh = (id && part.getElementById(id)) || part;
        // What was typed while the answer was on its way stays, where its control does.
        const typed = controls(old).filter((one) => sent.has(one.id) && sent.get(one.id) !== held(one));
        const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
        if (old === body) body.replaceChildren(fresh);
        else old.replaceWith(fresh);
        prepare();
        for (const one of act.startsWith("drop:") ? [] : typed) {
          const now = document.getElementById(one.id);
          if (now && now.type === one.type) hold(now, held(one));
        }
        if (!id) body.querySelector("[autofocus]")?.focus();
        else if (focused) document.getElementById(focused)?.focus();
      } catch {
        said.textContent = box.dataset.failed;
      }
      later();
    };

    body.addEventListener("click", (event) => {
      const button = event.target.closest("button[name]");
      if (button) draw(button.value);
    });
    body.addEventListener("change", ({ target }) => {
      if (target.dataset.redraw) draw("show:" + target.dataset.place, target.dataset.redraw);
      if (target.name?.endsWith("-how")) {
        const { glue } = target.selectedOptions[0].dataset;
        const group = target.name.slice(0, -"-how".length);
        for (const word of body.querySelectorAll(".c-crit-glue")) if (word.dataset.of === group) word.textContent = glue;
      }
    });
    body.addEventListener("input", ({ target }) => {
      if (!target.matches(".c-crit-filter")) return later();
      const wanted = folded(target.value);
      for (const choice of target.parentElement.querySelectorAll(".c-choice")) {
        choice.hidden = !folded(choice.textContent).includes(wanted);
      }
    });
    body.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches(".c-crit-filter")) event.preventDefault();
    });
    prepare();
    count(true);
  };

  // The theme loads scripts before the page is there.
  const begin = () => document.querySelectorAll(".c-crit").forEach(start);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
