"""A text that nobody wrote is written from the HTML, reads well, and speaks to each person as the HTML does."""

import pytest

from deliveries import plain_text, rendering
from deliveries.errors import TemplateRefused
from deliveries.models import DeliveryContent


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One\n  &amp; two</p><p>Three<br>four</p>", "One & two\n\nThree\nfour"),
        ("<h1>Title</h1><p>a</p><h3>Small</h3>b", "Title\n=====\n\na\n\nSmall\n\nb"),
        ("<p>See <a href='https://x/?a=1&amp;b=2'>this</a> now</p>", "See this (https://x/?a=1&b=2) now"),
        ("<p><a href='https://x'>This</a></p>", "This: https://x"),
        ("<p>That:  <a href='https://y'>there</a></p>", "That: there: https://y"),
        ("<a href='https://x'>https://x</a> <a href='mailto:a@b.c'>a@b.c</a>", "https://x a@b.c"),
        ("<a href='#top'>up</a><a>no</a>", "upno"),
        ("<a href='https://x'><img src=a alt='Our shop'></a><img src=b alt=''><img src=c>", "Our shop: https://x"),
        ("<a href='https://x'><img src=a></a>", "https://x"),
        ("<ul><li>a</li><li>b<ol><li>c<li>d</ol></li></ul>e", "- a\n- b\n  1. c\n  2. d\n\ne"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<head><title>t</title></head><style>p{}</style><script>x()</script><p>a</p><!-- no -->", "a"),
        ("<div style='display: none'>Preview <div>x</div> y</div><p hidden>z</p><p>a</p>", "a"),
        ("a<hr>b", "a\n\n" + "-" * 40 + "\n\nb"),
        ("&#123;&#123; x }}", "{ { x }}"),
        ("a\u00adb\u200b &nbsp;c", "ab \u00a0c"),
    ],
)  # fmt: skip
def test_what_stands_in_html_becomes_a_readable_text(html: str, text: str) -> None:
    assert plain_text.derive(html) == text + "\n"


def test_french_sets_its_colons_apart() -> None:
    assert plain_text.derive("<a href='https://x'>Ici</a>", "fr") == "Ici\u00a0: https://x\n"


def rendered(html: str, **profile: object) -> str:
    values = {"profile": profile, "brand": {"postal_address": "1 rue\n69001 Lyon"}, "opt_out_url": "https://x/?a&b"}
    return rendering.render(DeliveryContent(subject="", html=html, text=" \n", language="en"), values).text


def test_it_speaks_to_each_person_and_escapes_nothing() -> None:
    html = (
        "<p>Hello{% if profile.name != '' %} {{ profile.name | default: 'you &amp; all' }}{% endif %},</p>"
        "<ul>{% for one in profile.words %}<li>{{ one }}</li>{% endfor %}</ul>"
        "{% if profile.vip %}<p>You are first.</p>{% endif %}<p>{{ brand.postal_address | newline_to_br }}</p>"
        '<p><a href="{{ opt_out_url }}">Leave</a></p>'
    )
    foot = "1 rue\n69001 Lyon\n\nLeave: https://x/?a&b\n"
    one = rendered(html, name="Zoé & <Co>", words=["a", "b"], vip=True)
    assert one == "Hello Zoé & <Co>,\n\n- a\n- b\n\nYou are first.\n\n" + foot
    assert rendered(html, name="", words=[]) == "Hello,\n\n" + foot
    assert rendered(html, words=[]) == "Hello you & all,\n\n" + foot


def test_tags_that_are_not_shown_keep_their_ends() -> None:
    assert rendered("<title>{% if profile.a %}x{% endif %}</title>{% assign b = 'c' %}<p>{{ b }}</p>") == "c\n"
    assert rendered("<!--{% if true %}-->a<!--{% endif %}--><p>{% comment %}<b>{% endcomment %}b</p>") == "a\n\nb\n"


def test_a_text_of_ones_own_is_left_alone() -> None:
    content = DeliveryContent(subject="", html="<p>a</p>", text="mine\n\n\n\nown ")
    assert rendering.render(content, {}).text == "mine\n\n\n\nown "
    assert not rendering.text_is_derived(content)


def test_what_cannot_be_written_asks_for_a_text_of_ones_own() -> None:
    with pytest.raises(TemplateRefused, match="write it yourself"):
        rendered("<p {% if profile.a %}>a</p><p {% endif %}>{% if profile.a %}</p><br {% endif %}>")
