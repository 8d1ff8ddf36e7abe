"""MJML becomes HTML once, with its Liquid tags as they were; what it cannot be is said with the line."""

import pytest

from deliveries import mjml, rendering
from deliveries.errors import TemplateRefused
from deliveries.models import DeliveryContent

SOURCE = """\
<mjml>
  <mj-head><mj-title>{{ profile.first_name }}</mj-title><mj-preview>Soon</mj-preview>
    <mj-style>p.big { color: red } @media (max-width: 400px) { p.big { color: blue } }</mj-style></mj-head>
  <mj-body>
    {% if profile.first_name != "" %}
    <mj-section><mj-column>
      {% for word in profile.words %}<mj-text>
        <p class="big">{{ word | upcase }}{% if forloop.last %}.{% endif %}</p></mj-text>{% endfor %}
      <mj-image src="https://example.org/a.png" alt="For {{ profile.first_name }}" />
      <mj-button href="{{ opt_out_url }}">Leave</mj-button>
    </mj-column></mj-section>
    {% endif %}
  </mj-body>
</mjml>
"""
VALUES = {"profile": {"first_name": "Zoé", "language": "fr", "words": ["un", "deux"]}, "opt_out_url": "https://x"}


def render(html: str = SOURCE) -> rendering.Rendered:
    return rendering.render(DeliveryContent(subject="", html=html, text="", language="en"), VALUES)


def test_mjml_becomes_html_for_one_person_with_its_styles_in_its_elements() -> None:
    made = render()
    assert made.html.startswith('<!DOCTYPE html><html lang="fr"')
    assert "mj-" not in made.html.replace("mj-outlook", "").replace("mj-column", "").replace("mj-full", "")
    assert "<title>Zoé</title>" in made.html
    assert ["UN<" in made.html, "DEUX.<" in made.html] == [True, True]
    assert 'alt="For Zoé"' in made.html
    assert 'href="https://x"' in made.html
    assert 'class="big" style="' in made.html
    assert "color: red" in made.html
    assert "max-width: 400px" in made.html


def test_its_text_part_is_written_from_it() -> None:
    assert render().text == "UN\n\nDEUX.\n\nFor Zoé\n\nLeave: https://x\n"


def test_it_loads_no_font_of_a_third_party() -> None:
    assert "googleapis" not in render().html


def test_what_is_not_mjml_is_left_alone() -> None:
    assert not mjml.is_mjml("<p><mjml></p>")
    assert mjml.is_mjml("\n <mjml><mj-body /></mjml>")


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("<mjml>\n<mj-body>\n<mj-include path='/etc/passwd' />\n</mj-body></mjml>", 3, "mj-include"),
        ("<mjml>\n<mj-body>\n{% if a %}\n<mj-section />\n</mj-body></mjml>", 3, "endif"),
        ("<mjml>\n<mj-body>\n<mj-section>\n</mj-body></mjml>", None, "MJML cannot read it"),
        ("<mjml>\n<mj-body>\n<mj-text new='{% if a %}x{% endif %}' /></mj-body></mjml>", 3, "no room for a tag"),
        ("<mjml><mj-body>" + "<mj-section>" * 400, None, "too deep"),
        ("<mjml>\n<mj-body><mj-text>{{ a | shout }}</mj-text></mj-body></mjml>", 2, "shout"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(source: str, line: int | None, words: str) -> None:
    with pytest.raises(TemplateRefused) as caught:
        rendering.check_syntax("html", source)
        render(source)
    assert (caught.value.field, caught.value.line) == ("HTML", line)
    assert words in str(caught.value)


def test_an_error_that_shows_only_while_rendering_names_the_line_that_was_typed() -> None:
    source = SOURCE.replace("Leave", "{% for i in (1..9000) %}x{% endfor %}")
    with pytest.raises(TemplateRefused) as caught:
        render(source)
    assert caught.value.field == "HTML"
