// Shows only what the chosen target of a delivery needs. Without it all is shown, and the server takes what it needs.
(() => {
  const target = document.getElementById("id_target");
  if (!target) return;
  const HOLDERS = { audience: "audience", list: "people_list" };
  const show = () => {
    for (const [value, name] of Object.entries(HOLDERS)) {
      const row = document.querySelector(`.form-row.field-${name}`);
      // What has an error stays in sight.
      if (row) row.hidden = target.value !== value && !row.classList.contains("errors");
    }
  };
  target.addEventListener("change", show);
  show();
})();
