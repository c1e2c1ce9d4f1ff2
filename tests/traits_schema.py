"""The state that Python and the browser share: `python -m tests.traits_schema` writes it down.

Each synced trait of each widget becomes a line of an interface in `js/src/lib/traits.d.ts`, with
its type as the browser sees it, and an entry in `js/src/lib/traits.json`.
"""

import json
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

import decomon_widgets
from decomon_widgets._live_curve import IntervalTrait
from decomon_widgets.arrays import ArrayTrait

__all__ = ["COMMAND", "JSON_PATH", "TYPES_PATH", "schema", "schema_json", "schema_types"]

COMMAND = "python -m tests.traits_schema"
_LIB = Path(__file__).parents[1] / "js" / "src" / "lib"
JSON_PATH = _LIB / "traits.json"
TYPES_PATH = _LIB / "traits.d.ts"

Trait = dict[str, Any]


def schema() -> dict[str, dict[str, Trait]]:
    """Return, by widget and by name of the trait, what the browser gets.

    Returns
    -------
    dict
        Each trait has a `type` of TypeScript; a binary one also the `elements` of its buffer.
    """
    # What every Jupyter widget has.
    known = set(anywidget.AnyWidget.class_traits(sync=True))
    widgets = {name: getattr(decomon_widgets, name) for name in sorted(decomon_widgets.__all__)}
    return {
        name: {
            trait: _described(found)
            for trait, found in sorted(widget.class_traits(sync=True).items())
            if trait not in known
        }
        for name, widget in widgets.items()
    }


def _described(trait: Any) -> Trait:
    match trait:
        case ArrayTrait():
            return {"type": "DataView", "elements": np.dtype(trait._dtype).name}
        case traitlets.Bytes():
            return {"type": "DataView", "elements": "uint8"}
    return {"type": _type(trait) + (" | null" if trait.allow_none else "")}


def _type(trait: Any) -> str:
    match trait:
        case IntervalTrait():
            return "[number, number]"
        case traitlets.Bool():
            return "boolean"
        case traitlets.Int() | traitlets.Float():
            return "number"
        case traitlets.Unicode():
            return "string"
        case traitlets.Enum():
            return " | ".join(json.dumps(value) for value in trait.values or ())
        case traitlets.Tuple() if trait._traits:
            return f"[{', '.join(map(_type, trait._traits))}]"
        case traitlets.Instance() if isinstance(trait, traitlets.Container):
            item = _type(trait._trait)
            return f"({item})[]" if "|" in item else f"{item}[]"
    raise TypeError(f"There is no type of TypeScript for the trait '{trait.name}' ({trait!r})")


def schema_json() -> str:
    """Return the text of the JSON file."""
    return json.dumps(schema(), indent=2) + "\n"


def schema_types() -> str:
    """Return the text of the TypeScript file."""
    lines = [f"// Written by `{COMMAND}` from the Python classes.", ""]
    for widget, traits in schema().items():
        lines.append(f"export interface {widget}Traits {{")
        for name, trait in traits.items():
            elements = f" // {trait['elements']}" if "elements" in trait else ""
            lines.append(f"  {name}: {trait['type']};{elements}")
        lines += ["}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    JSON_PATH.write_text(schema_json())
    TYPES_PATH.write_text(schema_types())
