"""A hypothesis with its errors written out, for the pages and the demo."""

from collections.abc import Sequence

from markupsafe import Markup

from lpo_tts.alignment import Step


def spelled(alignment: Sequence[Step]) -> Markup:
    """HTML of the hypothesis with every error written out: S ~wanted~ heard, D ~wanted~, I +heard, so that colour is not needed.

    The style sheet of the page gives each its own frame. `legend` says what they mean.
    """
    words = []
    for operation, wanted, heard in alignment:
        if operation == "hit":
            words.append(Markup("{}").format(heard))
        elif operation == "deletion":
            words.append(Markup('<span class="edit deleted" title="not heard"><del>{}</del></span>').format(wanted))
        elif operation == "substitution":
            words.append(
                Markup('<span class="edit changed" title="{0} was heard as {1}"><del>{0}</del> {1}</span>').format(wanted, heard)
            )
        else:
            words.append(Markup('<span class="edit added" title="added"><ins>+{}</ins></span>').format(heard))
    return Markup(" ").join(words) or Markup("<em>nothing heard</em>")


def legend() -> Markup:
    """What the marks of `spelled` mean."""
    steps: Sequence[Step] = (("substitution", "wanted", "heard"), ("deletion", "lost", ""), ("insertion", "", "extra"))
    return Markup("{} another word was heard · {} a word was not heard · {} a word was added").format(
        *(spelled([step]) for step in steps)
    )
