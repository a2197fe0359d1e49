"""The secret text from which the hidden cases are drawn: whoever guesses it can foresee them."""

LEAST, DIFFERENT = 16, 8  # characters; a core tries 85,000 texts a second against one leaked number


def strong(text):
    """The text, if it is long and mixed enough not to be guessed; ValueError if not."""
    if len(text) < LEAST or len(set(text)) < DIFFERENT:
        raise ValueError(f"the secret text must have at least {LEAST} characters, {DIFFERENT} of them different: it "
                         f"has {len(text)} and {len(set(text))}, and could be guessed; release draws a good one")
    return text
