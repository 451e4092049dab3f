"""What the profiles of text models share: everything but their tables of names and their outputs."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from engines.api import Rejected
from engines.generating.sampling import Value
from engines.text.asked import Asked
from engines.text.members import unsupported
from engines.triton.profiles.api import ModelFacts
from engines.triton.profiles.inputs import Inputs
from engines.triton.tensors import Slot, Tensor


@dataclass(slots=True, frozen=True)
class Names:
    """How a kind of model calls its inputs; "" for one that the kind doesn't know. See `inputs.PARAMETERS`.

    `guide_form` and `guide_text` take the form a text must have; `image` takes data URLs.
    """

    prompt: str
    parameters: Mapping[str, str]
    guide_form: str = ""
    guide_text: str = ""
    image: str = ""


class TextModel:
    """Text in, text out."""

    embeds: ClassVar[bool] = False

    def __init__(self, facts: ModelFacts, names: Names, constants: Mapping[str, Value]) -> None:
        """`constants` are sent with each request, as far as the model knows them."""
        self._inputs = Inputs(facts, names.parameters)
        self.seeded = "seed" in self._inputs
        self.capped = "max_tokens" in self._inputs
        self._prompt = self._inputs.needed(names.prompt, str)
        self._guide_form = self._inputs.slot(names.guide_form, str)
        self._guide_text = self._inputs.slot(names.guide_text, str)
        self._image = self._inputs.slot(names.image, str)
        self._constants = self._inputs.constants(constants)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._inputs!r}>"

    def check(self, asked: Asked) -> None:
        """See `Profile`."""
        if asked.kind == "embedding":
            raise Rejected("This model does not make embeddings.", param="model", code="unsupported_endpoint")
        if asked.logit_bias is not None:  # where there is an input for it, it takes words, and words are not tokens
            raise unsupported("logit_bias")
        if asked.top_logprobs:
            raise unsupported("top_logprobs" if asked.kind == "chat" else "logprobs")
        if asked.guide is not None and (self._guide_form is None or self._guide_text is None):
            raise unsupported(asked.guide.param)
        if asked.images and self._image is None:
            raise unsupported(asked.images[0].param, "This model reads text only.")
        self._inputs.check(asked)

    def tensors(self, asked: Asked, prompt: str) -> list[Tensor]:
        """See `Profile`. Images must be data URLs by now: no address that a caller names reaches the server."""
        tensors = [self._prompt.write(prompt), *self._constants, *self._inputs.tensors(asked)]
        if asked.guide is not None and self._guide_form is not None:
            tensors.append(self._guide_form.write(asked.guide.form))
            if asked.guide.text and self._guide_text is not None:
                tensors.append(self._guide_text.write(asked.guide.text))
        if asked.images and self._image is not None:
            tensors.append(self._written_images(self._image, asked))
        return tensors

    @staticmethod
    def _written_images(slot: Slot, asked: Asked) -> Tensor:
        for image in asked.images:
            if not image.url.startswith("data:image/"):
                raise unsupported(image.param, "This model takes images as data URLs only.")
        try:
            return slot.write(*(image.url for image in asked.images))
        except ValueError:
            raise unsupported(asked.images[1].param, "This model takes one image only.") from None

    def vector(self, outputs: Mapping[str, bytes]) -> array[float]:
        """See `Profile`."""
        raise ValueError("A text model makes no embeddings.")
