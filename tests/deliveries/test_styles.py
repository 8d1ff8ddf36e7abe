"""Styles go into the elements they are about once per template, and it comes to the same as doing it per message."""

import re
from pathlib import Path
from typing import Any

import pytest
from css_inline import CSSInliner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deliveries import rendering, styles
from deliveries.errors import TemplateRefused
from deliveries.models import DeliveryContent

RULES = "<style>p, td { color: red } .big { font-size: 2em } a { margin: 0 } @media print { p { color: #000 } }</style>"
_READER = CSSInliner(inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False)
VALUES: tuple[dict[str, Any], ...] = (
    {"profile": {"first_name": "Zoé <b> & Co", "words": ["a", "b"]}, "opt_out_url": "https://x/?a=1&b=2"},
    {"profile": {"first_name": "", "words": []}, "opt_out_url": "https://x/"},
)
ONCE = (
    "<p class='big'>Hello {{ profile.first_name }} &nbsp;é</p>",
    "<table>\n{% for w in profile.words %}\n<tr><td>{{ w }}</td></tr>{% endfor %}\n</table>",
    "<table><tr><th>x</th></tr>{% for w in profile.words %}<tr><td>{{ w }}</td></tr>{% endfor %}</table>",
    "<table><tbody>{% if profile.first_name != '' %}<tr><td>a</td></tr>{% endif %}</tbody></table>",
    '<a href="{{ opt_out_url }}" title=\'{{ profile.first_name | default: "x" }}\'>out</a>',
    "{% if profile.first_name == '' %}<p>a</p>{% else %}<div><p>b</p></div>{% endif %}",
    "{% case profile.first_name %}{% when '' %}<p>a</p>{% else %}<p>b</p>{% endcase %}",
    "{% assign a = profile.first_name | upcase %}<p>{{ a }}</p>",
    "<!--[if mso]><p>{{ profile.first_name }}</p><![endif]--><p>a</p>",
    "{% comment %}<p>{% if %}{% endcomment %}<p>x</p>",
)  # fmt: skip
LATE = (
    '<p class="{% if profile.first_name != \'\' %}big{% endif %}">a</p>',
    "<p {% if profile.first_name != '' %}class='big'{% endif %}>a</p>",
    "<ul>{% for w in profile.words %}<li><p>{{ w }}{% endfor %}</ul>",
    "<table>{% if profile.first_name != '' %}text{% endif %}<tr><td>a</td></tr></table>",
    "{% if profile.first_name != '' %}<div>{% else %}<div class='big'>{% endif %}<p>x</p></div>",
    "<style>p { width: {{ profile.words.size }}px }</style><p>a</p>",
    "<style>td:first-child { color: blue }</style><table><tr>"
    "{% for w in profile.words %}<td>{{ w }}</td>{% endfor %}</tr></table>",
    "{% capture a %}<p>x</p>{% endcapture %}<table><tr><td>{{ a }}</td></tr></table>",
    "<p style=\"width: {{ profile.words.size }}px\">a</p>",
)  # fmt: skip


def rendered(html: str, values: dict[str, Any]) -> str:
    return rendering.render(DeliveryContent(subject="", html=html, text="x"), values).html


def rendered_first(html: str, values: dict[str, Any]) -> str:
    return styles.inline_rendered(rendering.render_field("html", html, values))


def alike(html: str) -> str:
    """Return a page as a parser reads it, without blanks between tags and bodies of tables without rows."""
    read = _READER.inline(html)
    return re.sub(r"<tbody></tbody>", "", re.sub(r">\s+", ">", re.sub(r"\s+<", "<", read)))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("source", [*ONCE, *LATE])
def test_it_comes_to_the_same_as_rendering_first(source: str, values: dict[str, Any]) -> None:
    assert alike(rendered(RULES + source, values)) == alike(rendered_first(RULES + source, values))


@pytest.mark.parametrize("source", ONCE)
def test_it_is_done_once_per_template_where_that_gives_the_same(source: str) -> None:
    made = styles.inline(RULES + source)
    assert not made.late
    assert "<style>p" not in made.template
    assert "color: red" in made.template or "<a" in source


@pytest.mark.parametrize("source", LATE)
def test_it_is_done_per_message_where_styles_depend_on_what_is_rendered(source: str) -> None:
    assert styles.inline(RULES + source) == styles.Inlined(RULES + source, late=True)


_BLOCKS = st.recursive(
    st.sampled_from(
        ["word", " ", "{{ profile.first_name }}", "<br>", '<a href="{{ opt_out_url }}">a</a>', "<p class='big'>p</p>",
         "&amp;", "<img alt='{{ profile.first_name }}'>", "<li>li", "<tr><td>x</td></tr>", "<p>open", "<td>y"]
    ),
    lambda inner: st.tuples(
        st.sampled_from(
            [("<div>", "</div>"), ("<table>", "</table>"), ("<table><tr><td>", "</td></tr></table>"), ("<ul>", "</ul>"),
             ("{% if profile.first_name != '' %}", "{% endif %}"), ("{% for w in profile.words %}", "{% endfor %}"),
             ("{% if profile.first_name == '' %}<p>1</p>{% else %}", "{% endif %}"), ("<b>", "</b>"), ("<p>", "</p>"),
             ('<div class="{% if profile.first_name %}big{% endif %}">', "</div>"), ("<tr>", "</tr>")]
        ),
        st.lists(inner, max_size=4).map("".join),
    ).map(lambda drawn: drawn[0][0] + drawn[1] + drawn[0][1]),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(_BLOCKS, max_size=4).map("".join))
@example("<table>{% for w in profile.words %}<tr><td>{{ w }}</td></tr>{% endfor %}</table>")
def test_it_comes_to_the_same_whatever_is_written(source: str) -> None:
    for values in VALUES:
        assert alike(rendered(RULES + source, values)) == alike(rendered_first(RULES + source, values))


@pytest.mark.parametrize(
    "source", ["<P class=a>Hé &eacute; <br/>{{ a }}", "<td>x</table>", "<!DOCTYPE html><html>\n<body>a"]
)  # fmt: skip
def test_a_template_without_a_style_sheet_stays_byte_for_byte(source: str) -> None:
    assert styles.inline(source) == styles.Inlined(source)


def test_a_whole_document_stays_one_and_a_piece_of_one_stays_a_piece() -> None:
    head = "<!doctype html><html lang='fr'><head><title>{{ profile.first_name }}</title>"
    whole = head + RULES + "</head><body><p>a</p></body></html>"
    made = styles.inline(whole).template
    assert made.startswith('<!DOCTYPE html><html lang="fr"><head>')
    assert "<title>{{ profile.first_name }}</title></head>" in made
    assert "<html" not in styles.inline(RULES + "<p>a</p>").template


def test_rules_for_screens_stay_in_their_sheet() -> None:
    assert "@media print" in styles.inline(RULES + "<p>a</p>").template


def test_nothing_is_loaded_from_a_file_or_the_network(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.css"
    sheet.write_text("p { color: pink }")
    links = "".join(
        f'<link rel="stylesheet" href="{address}">'
        for address in (sheet.as_uri(), str(sheet), "http://127.0.0.1:9/a.css", "https://localhost:9/a.css")
    )
    imports = f'<style>@import url("{sheet.as_uri()}"); @import "http://127.0.0.1:9/a.css"; p {{ margin: 0 }}</style>'
    made = styles.inline(links + imports + "<p>a</p>").template
    assert '<p style="margin: 0;">a</p>' in made
    assert "pink" not in made


def test_elements_too_deep_in_one_another_are_refused() -> None:
    with pytest.raises(TemplateRefused, match="too deep"):
        rendering.check_syntax("html", RULES + "<div>" * 400)
    rendering.check_syntax("html", RULES + "<p>a<li>b" * 400)
