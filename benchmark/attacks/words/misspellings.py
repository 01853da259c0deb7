"""Misspellings of a word: two letters swapped, one inserted, one left out, one replaced by a look-alike.

Source: SAME (arXiv 2305.12228), character level. Every misspelling is one alphabetic word, so a text keeps its number
of words.
"""

from __future__ import annotations

import random
import string

# Cyrillic and Greek letters that print like Latin ones.
LOOK_ALIKES = dict(zip("aceijopsxyABCEHIKMOPTXYv", "асеіјорѕхуАВСЕНІКМОРТХΥν", strict=True))


def misspellings(form: str, rng: random.Random) -> list[str]:
    """All one-letter misspellings of a word, distinct, without the word itself; inserted letters are random.

    A word of n letters has up to 4n of them; the only letter of a word is never left out.
    """
    positions = range(len(form))
    variants = [form[:n] + form[n + 1] + form[n] + form[n + 2 :] for n in positions[:-1]]
    variants += [form[:n] + rng.choice(string.ascii_lowercase) + form[n:] for n in range(len(form) + 1)]
    if len(form) > 1:
        variants += [form[:n] + form[n + 1 :] for n in positions]
    variants += [form[:n] + LOOK_ALIKES[form[n]] + form[n + 1 :] for n in positions if form[n] in LOOK_ALIKES]
    return [variant for variant in dict.fromkeys(variants) if variant != form and variant.isalpha()]
