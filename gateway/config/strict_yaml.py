"""YAML in which nothing is dropped in silence."""

from __future__ import annotations

from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """Finds a setting that is given twice, of which YAML's own reading would drop the first in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names: set[str] = set()
        for name in (name for name, _ in node.value if isinstance(name, yaml.ScalarNode)):
            if name.value in names:
                raise yaml.composer.ComposerError(None, None, f"{name.value} is given twice", name.start_mark)
            names.add(name.value)
        return node
