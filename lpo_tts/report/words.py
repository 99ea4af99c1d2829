"""A hypothesis with its wrong words marked, for the page and the demo."""

from collections.abc import Sequence

from markupsafe import Markup

from lpo_tts.alignment import Step


def marked(alignment: Sequence[Step]) -> Markup:
    """HTML of the hypothesis: wrong and added words marked, words that were not heard struck out."""
    words = []
    for operation, wanted, heard in alignment:
        if operation == "hit":
            words.append(Markup("{}").format(heard))
        elif operation == "deletion":
            words.append(Markup("<del>{}</del>").format(wanted))
        elif operation == "substitution":
            words.append(Markup('<mark title="should be: {}">{}</mark>').format(wanted, heard))
        else:
            words.append(Markup('<mark title="added">{}</mark>').format(heard))
    return Markup(" ").join(words) or Markup("<em>nothing heard</em>")
