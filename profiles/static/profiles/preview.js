// A button with data-preview sends the form around it to a frame (data-frame), and leaves the form as it was.
for (const button of document.querySelectorAll("button[data-preview]")) {
  button.addEventListener("click", () => {
    const form = button.form;
    const { target } = form;
    const action = form.getAttribute("action");
    form.setAttribute("action", button.dataset.preview);
    form.target = button.dataset.frame;
    HTMLFormElement.prototype.submit.call(form);
    form.target = target;
    if (action === null) form.removeAttribute("action");
    else form.setAttribute("action", action);
  });
}
