"""Examples of docstrings as code: a paragraph of `>>>` lines would be a quotation in Markdown."""

from __future__ import annotations

import griffe


def fenced(text: str) -> str:
    """Put every paragraph that starts with a prompt between fences."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        f"```pycon\n{paragraph}\n```" if paragraph.startswith(">>> ") else paragraph
        for paragraph in paragraphs
    )


class Doctests(griffe.Extension):
    """Do so in every docstring that the reference shows."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of what was read."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
