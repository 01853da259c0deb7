"""Misspellings of a word: two neighbours swapped, a letter put in, one left out, one replaced by its look-alike.

Source: SAME (arXiv 2305.12228), character level. Every misspelling is one alphabetic word again, so that a text
keeps its words when it is read anew.
"""

from __future__ import annotations

import random
import string

# Cyrillic and Greek letters that print like Latin ones.
LOOK_ALIKES = dict(zip("aceijopsxyABCEHIKMOPTXYv", "асеіјорѕхуАВСЕНІКМОРТХΥν", strict=True))


def misspellings(form: str, draw: random.Random) -> list[str]:
    """All ways to misspell a word by one letter, distinct, without the word itself; inserted letters are drawn.

    A word of n letters has up to 4n of them; a single letter is never left out.
    """
    places = range(len(form))
    made = [form[:n] + form[n + 1] + form[n] + form[n + 2 :] for n in places[:-1]]
    made += [form[:n] + draw.choice(string.ascii_lowercase) + form[n:] for n in range(len(form) + 1)]
    if len(form) > 1:
        made += [form[:n] + form[n + 1 :] for n in places]
    made += [form[:n] + LOOK_ALIKES[form[n]] + form[n + 1 :] for n in places if form[n] in LOOK_ALIKES]
    return [one for one in dict.fromkeys(made) if one != form and one.isalpha()]
