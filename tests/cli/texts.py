"""Texts of strangers, for the tests of what is printed."""

import unicodedata

from hypothesis import strategies as st

# Any text, and more often what is nasty.
TEXTS = st.text(
    st.characters(codec=None) | st.sampled_from("\x1b\x9b\r\n\t\0\x7f\u202e\u2066\u2028\ud800[]=+-@;,\"'\\ ")
)


def unsafe(text: str) -> list[str]:
    return [
        char
        for char in text
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\u200c\u200d"
    ]
