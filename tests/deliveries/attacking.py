"""Runs templates that try to use up the machine, each in a process of its own, and prints what became of them.

`python -m tests.deliveries.attacking` prints one JSON object: attack → outcome, seconds of work, bytes of memory.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

MEGABYTE = 1_000_000
LONG = "x" * 19_000
STYLES = "<style>" + "".join(f".a{n}{{color:red}}" for n in range(3_000)) + "</style>"
SECTION = "<mj-section><mj-column><mj-text>a</mj-text></mj-column></mj-section>"
FIELDS = {"first_name": "Zoé", "attributes": {"long": LONG, "words": ["a", "b", "c"], "wide": "é" * 19_000}}


def _loops(depth: int, body: str, turns: int) -> str:
    return "{% for i in (1.." + str(turns) + ") %}" * depth + body + "{% endfor %}" * depth


ATTACKS = {
    "loops in loops": _loops(4, "x", 900),
    "loops in loops without output": _loops(2, "{% assign a = i %}", 900),
    "loops after loops": _loops(1, "{% assign a = i %}", 1000) * 600,
    "a long range": _loops(1, "x", 100_000_000),
    "a range as a text": "{{ (1..100000000) | upcase }}{{ (1..100000000).size }}{{ (1..100000000) }}",
    "a range in a variable": "{% assign a = (1..100000000) %}" * 500 + "{{ a | downcase }}{{ a.last }}",
    "many outputs in a loop": _loops(1, "{{ profile.nope }}" * 1900, 1000),
    "filters in a loop": _loops(1, "{{ profile.attributes.long | upcase | downcase | capitalize }}" * 500, 1000),
    "wide filters, chained": ("{{ profile.attributes.wide" + " | upcase | downcase" * 80 + " }}") * 30,
    "escapes, chained": ("{{ profile.attributes.long" + " | newline_to_br" * 100 + " }}") * 30,
    "comparisons in a loop": _loops(
        1, "{% if profile.attributes.long contains profile.attributes.long %}{% endif %}" * 500, 1000
    ),
    "hard comparisons": "{% if profile.attributes.long contains 'xxxxxxxxxxxxxxxxxxxxxxxy' %}{% endif %}" * 900,
    "ifs in ifs": "{% if true %}" * 2000 + "{% endif %}" * 2000,
    "few ifs, too deep": "{% if true %}" * 400 + "{% endif %}" * 400,
    "captures that double": "{% assign a = 'xxxxxxxxxx' %}" + "{% capture a %}{{ a }}{{ a }}{% endcapture %}" * 40,
    "captures that grow": _loops(1, "{% capture a %}{{ a }}xxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endcapture %}", 1000) * 5,
    "many variables": "".join(f"{{% assign a{n} = 1 %}}" for n in range(2_000)),
    "too many variables": "".join(f"{{% assign a{n} = 1 %}}" for n in range(12_000)),
    "a long text in a variable": "{% assign a = '" + "x" * 290_000 + "' %}{{ a | upcase }}",
    "many long texts": ("{% assign a = '" + "x" * 1_900 + "' %}{{ a | upcase }}") * 150,
    "cycles": "{% cycle " + ", ".join(["'a'"] * 60_000) + " %}",
    "cycles in loops": _loops(1, "{% cycle 'a', 'b', 'c' %}" * 1500, 1000),
    "increments": "{% increment a %}" * 15_000,
    "increments in a loop": _loops(1, "{% increment a %}", 1000),
    "includes": "{% include 'a' %}",
    "renders": "{% render 'a' %}",
    "a table of rows": "{% tablerow i in (1..100000000) %}x{% endtablerow %}",
    "deep brackets": "{{ " + "a[" * 60_000 + "1" + "]" * 60_000 + " }}",
    "brackets as deep as allowed": "{{ " + "a[" * 600 + "1" + "]" * 600 + " }}",
    "deep parentheses": "{% if " + "(" * 100_000 + "true" + ")" * 100_000 + " %}{% endif %}",
    "parentheses as deep as allowed": "{% if " + "(" * 900 + "true" + ")" * 900 + " %}{% endif %}",
    "a long condition": "{% if true" + " and true" * 30_000 + " %}{% endif %}",
    "conditions as long as allowed": ("{% if true" + " and true" * 200 + " %}{% endif %}") * 30,
    "many outputs": "{{ a }}" * 40_000,
    "many small outputs": "{{a}}" * 1_999,
    "filters without end": "{{ a" + " | upcase" * 30_000 + " }}",
    "a long path": "{{ a" + ".b" * 100_000 + " }}",
    "openings only": "{{" * 150_000,
    "tags that never end": "{% if " * 50_000,
    "comments that never end": "{% comment %}" * 2_000,
    "text only": "<p>" + "x" * 299_000,
    "braces": "{" * 299_000,
    "a walk to the class": "{{ profile.__class__.__mro__ }}{{ profile.objects }}{{ brand._meta.apps }}",
    "a walk by name": "{{ profile['__class__']['__init__'] }}{{ profile.attributes.items }}{{ ''.__class__ }}",
    "a style for everything": "<style>" + "* * * * p{color:red}" * 500 + "</style>" + "<div><p>a" * 240,
    "many styles": STYLES + "<p class=a1>" * 3_000,
    "deep elements": "<style>p{color:red}</style>" + "<div>" * 50_000,
    "deep elements, badly closed": "<style>p{color:red}</style>" + "<div></x>" * 30_000,
    "deep elements in a drawing": "<style>p{color:red}</style><svg>" + "<td>" * 60_000,
    "elements deep in a loop": "<style>.{{ a }}b{color:red}</style>" + _loops(1, "<div>", 1000),
    "styles that cannot be read": "<style>p{color:{{ a }}}" + "{" * 100_000 + "</style>",
    "tags without end": "<a " * 100_000,
    "quotation marks without end": "<a '\">" * 50_000,
    "comments of HTML": "<!--" * 70_000,
    "entities": "&" * 299_000,
    "sections in sections": "<mjml><mj-body>" + "<mj-section>" * 20_000,
    "a file in MJML": "<mjml><mj-body><mj-include path='/etc/passwd'/></mj-body></mjml>",
    "MJML that repeats": "<mjml><mj-body>" + SECTION * 4_000 + "</mj-body></mjml>",
    "entities in MJML": '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><mjml><mj-body>&c;</mj-body></mjml>',
}  # fmt: skip


def attack(html: str, text: str) -> str:
    """Do all that is done to what somebody types, and then to what is sent; return a word about how it ended."""
    from deliveries import rendering
    from deliveries.errors import TemplateRefused
    from deliveries.models import DeliveryContent

    content = DeliveryContent(language="en", subject="", html=html, text=text)
    values = {"profile": FIELDS, "brand": {"name": "J"}, "service": {}, "opt_out_url": "https://x"}
    try:
        field = "html" if html else "text"
        rendering.check_syntax(field, html or text)
        rendering.names(field, html or text)
        rendered = rendering.render(content, values)
    except TemplateRefused:
        return "refused"
    size = len(rendered.html) + len(rendered.text)
    return "bounded" if size < 3 * MEGABYTE and "<class" not in rendered.html + rendered.text else "let through"


def _measured(html: str, text: str) -> dict[str, object]:
    """Attack in a process of its own, which may take some seconds and some memory and no more."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 400 * MEGABYTE,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        outcome = attack(html, text)
        took = time.process_time() - began
        if 1 <= took < 2:  # near the bound: a busy machine takes its part of the time, so once more
            began = time.process_time()
            attack(html, text)
            took = min(took, time.process_time() - began)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        os.write(writing, json.dumps({"outcome": outcome, "seconds": took, "memory": grown}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        found = told.read()
    _pid, status = os.waitpid(child, 0)
    return json.loads(found) if found else {"outcome": f"died: {status}", "seconds": 0, "memory": 0}


def main() -> None:
    import django

    django.setup()
    attack("<style>p{color:red}</style><p>{{ a }}", "")  # what is loaded once is not of the attack
    attack("<mjml><mj-body></mj-body></mjml>", "")
    found = {name: _measured(source, "") for name, source in ATTACKS.items()}
    found |= {f"{name}, as text": _measured("", source) for name, source in ATTACKS.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
